"""A net begins with the weights of a file: by name, adapted where sizes differ, or not at all; a line says which."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from thetastar import cli, equation, registry, star, weights
from thetastar.defaults import open_for
from thetastar.errors import UserError
from thetastar.functional.positions import resized
from thetastar.protocols import Field, Model, Schema
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

BARS: dict[str, Any] = {"name": "bars", "rows": 90, "batch_size": 16}
CNN: dict[str, Any] = {"name": "cnn", "channels": [4, 6], "hidden": 8}


def made(spec: Mapping[str, Any] = CNN, channels: int = 1, classes: int = 2, size: int = 8) -> Model:
    field = Field("image", (channels, size, size), mean=(0.3,) * channels, std=(0.2,) * channels)
    return registry.build("models", dict(spec), Schema(field, Field("category", classes=classes)), where="model")


def state(f: nn.Module) -> dict[str, Tensor]:
    """As it is published: without what our first layer fitted to the data."""
    return {name: tensor.clone() for name, tensor in f.state_dict().items() if not name.startswith("standardise.")}


def begun(f: Model, tensors: Mapping[str, Tensor], tmp_path: Path) -> Model:
    save_file(dict(tensors), tmp_path / "w.safetensors")
    return weights.begun(f, {"weights": str(tmp_path / "w.safetensors")})


class house(Model):
    """A net whose usual checkpoints have other names: those of `keys`."""

    keys: ClassVar = {"trunk.": "features.", "head.": "classifier.1."}

    def __init__(self, *, channels: int = 3, classes: int = 5, side: int = 2, aux: bool = False) -> None:
        super().__init__()
        self.grid = (side, side)
        self.standardise = nn.Module()
        self.standardise.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.trunk = nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + side * side, 8))
        if aux:
            self.aux1 = nn.Linear(8, classes)
        self.width = 8
        self.head = nn.Linear(8, classes)

    def features(self, x: Tensor) -> Tensor:
        return self.trunk(x).mean((2, 3))


def published(f: Model) -> dict[str, Tensor]:
    return {weights.common(name, f.keys): tensor for name, tensor in state(f).items()}


def test_public_names_find_their_places(tmp_path: Path) -> None:
    theirs = house()
    given = published(theirs)
    assert {"features.0.weight", "classifier.1.bias"} < set(given)
    assert "trunk.0.weight" not in given
    ours = begun(house(), {name: value for name, value in given.items() if "tracked" not in name}, tmp_path)
    for name, value in state(theirs).items():
        assert torch.equal(ours.state_dict()[name], value), name
    assert ours.said == ["weights: 909 of 909 parameters from w.safetensors"]
    assert ours.origin.sha256 == hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("front", ["", "f.", "module.", "_orig_mod.f."])
def test_names_of_ours_and_what_tools_put_in_front_load_too(front: str, tmp_path: Path) -> None:
    theirs, ours = house(), house()
    beside = {"method.queue": torch.zeros(3)} if front == "f." else {}
    begun(ours, {front + name: value for name, value in state(theirs).items()} | beside, tmp_path)
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in state(theirs).items())


def test_half_precision_is_read_as_single(tmp_path: Path) -> None:
    theirs = made()
    half = {name: value.bfloat16() for name, value in state(theirs).items()}
    ours = begun(made(), half, tmp_path)
    for name, value in half.items():
        assert ours.state_dict()[name].dtype == torch.float32
        assert torch.equal(ours.state_dict()[name], value.float())


def test_a_head_for_other_classes_and_modules_of_one_side_stay_as_they_were_drawn(tmp_path: Path) -> None:
    theirs, ours = house(classes=7, aux=True), house(aux=True)
    drawn = {name: value.clone() for name, value in ours.state_dict().items()}
    given = published(theirs) | {"decoder.weight": torch.zeros(2), "decoder.bias": torch.zeros(2)}
    begun(ours, given, tmp_path)
    for name, value in ours.state_dict().items():
        own = name.startswith(("head.", "aux1.", "standardise."))
        assert torch.equal(value, drawn[name] if own else theirs.state_dict()[name]), name
    first, second = ours.said
    assert first == f"weights: {909 - 45:,} of {909 + 45:,} parameters from w.safetensors"
    assert second == (
        "weights: drawn anew: aux1 (5×8 here, 7×8 there), head (5×8 here, 7×8 there); not used: decoder (2 tensors)"
    )


@pytest.mark.parametrize(("theirs", "ours"), [(3, 1), (1, 3), (2, 6), (3, 4)])
def test_the_first_convolution_sees_the_same_in_grey_images(theirs: int, ours: int, tmp_path: Path) -> None:
    given, f = house(channels=theirs), house(channels=ours)
    begun(f, published(given), tmp_path)
    assert "trunk.0.weight" in f.said[0]
    assert f"{theirs} channels to {ours}" in f.said[0]
    assert len(f.said) == 1
    grey = torch.rand(2, 1, 9, 9)
    before, after = (net.trunk[0](grey.expand(-1, net.trunk[0].in_channels, -1, -1)) for net in (given, f))
    if max(theirs, ours) % min(theirs, ours) == 0:
        torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-5)
    shares = functional.conv2d(torch.ones(1, ours, 3, 3), f.trunk[0].weight)
    assert shares.isfinite().all()
    assert f.trunk[0].weight.shape[1] == ours


def test_a_first_convolution_of_another_size_is_drawn_anew(tmp_path: Path) -> None:
    theirs, ours = house(), house()
    given = published(theirs) | {"features.0.weight": torch.randn(8, 3, 7, 7)}
    drawn = ours.trunk[0].weight.detach().clone()
    begun(ours, given, tmp_path)
    assert torch.equal(ours.trunk[0].weight, drawn)
    assert torch.equal(ours.trunk[2].weight, theirs.trunk[2].weight)
    assert ours.said[1] == "weights: drawn anew: trunk (8×3×3×3 here, 8×3×7×7 there)"


def test_dense_layers_behind_convolutions_go_by_the_size_of_the_images(tmp_path: Path) -> None:
    theirs, ours = made(size=12), made(size=8)
    drawn = {name: value.clone() for name, value in ours.state_dict().items()}
    begun(ours, state(theirs), tmp_path)
    for name, value in state(ours).items():
        assert torch.equal(value, (drawn if name.startswith("dense.") else theirs.state_dict())[name]), name
    assert ours.said[1] == "weights: drawn anew: dense (8×24 here, 8×54 there)"


PUBLIC = {
    "resnet18": ("layer1.0.conv1.weight", "layer2.0.downsample.1.running_mean", "fc.bias"),
    "vgg11": ("features.0.weight", "classifier.0.weight", "classifier.6.bias"),
    "alexnet": ("features.10.weight", "classifier.4.weight", "classifier.6.bias"),
    "googlenet": ("conv1.conv.weight", "inception3a.branch2.0.conv.weight", "inception5a.branch4.1.bn.bias", "fc.bias"),
    "vit_tiny": ("cls_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "norm.bias", "head.weight"),
    "deit_tiny": ("dist_token", "blocks.0.mlp.fc1.bias", "head_dist.weight"),
}
TINY: dict[str, dict[str, Any]] = {
    "resnet18": {"width": 4, "blocks": [1, 1, 1, 1]},
    "vgg11": {"width": 4, "hidden": 8},
    "alexnet": {"channels": [4, 4, 4, 4, 4], "hidden": 8},
    "googlenet": {"width": 0.1, "blocks": [1, 1, 1]},
    "vit_tiny": {"width": 12, "depth": 1, "heads": 3, "patch": 8},
    "deit_tiny": {"width": 12, "depth": 1, "heads": 3, "patch": 8},
}


@pytest.mark.parametrize("name", PUBLIC)
def test_architectures_load_under_the_names_of_their_usual_checkpoints(name: str, tmp_path: Path) -> None:
    spec = {"name": name, **TINY[name]}
    theirs = made(spec, channels=3, classes=9, size=96)
    given = published(theirs)
    assert set(PUBLIC[name]) <= set(given)
    ours = begun(made(spec, channels=3, classes=2, size=104), given, tmp_path)
    body = [key for key in state(ours) if not key.startswith(("head", "pos_embed")) and "tracked" not in key]
    assert body
    assert all(torch.equal(ours.state_dict()[key], theirs.state_dict()[key]) for key in body)
    assert "head (2×" in ours.said[-1]
    assert "not used" not in ours.said[-1]
    if "pos_embed" in given:
        assert torch.equal(ours.pos_embed, resized(theirs.pos_embed, ours.tokens, (12, 12), (13, 13)))
    other = "resnet18" if name != "resnet18" else "vgg11"
    with pytest.raises(UserError, match="another architecture"):
        begun(made({"name": other, **TINY[other]}, channels=3, size=96), given, tmp_path)


def test_positions_move_to_the_grid_of_the_images(tmp_path: Path) -> None:
    theirs, ours = house(side=4), house(side=3)
    begun(ours, published(theirs), tmp_path)
    assert torch.equal(ours.pos_embed, resized(theirs.pos_embed, 1, (4, 4), (3, 3)))
    assert "pos_embed moved from 4×4 to 3×3 patches" in ours.said[0]
    with pytest.raises(UserError, match="pos_embed is 1×18×8 there, 1×10×8 here"):
        begun(house(side=3), published(theirs) | {"pos_embed": torch.zeros(1, 18, 8)}, tmp_path)


def change_width(given: dict[str, Tensor]) -> None:
    given["features.2.weight"] = torch.zeros(9, 8, 3, 3)


def add_layer(given: dict[str, Tensor]) -> None:
    given["features.4.weight"] = torch.zeros(8, 8, 3, 3)


def drop_layer(given: dict[str, Tensor]) -> None:
    del given["features.3.weight"]


def rename_all(given: dict[str, Tensor]) -> None:
    for name in list(given):
        given[f"blocks.{name}"] = given.pop(name)


def store_integers(given: dict[str, Tensor]) -> None:
    given["features.2.weight"] = given["features.2.weight"].to(torch.int8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_width, "features.2.weight is 9×8×3×3 there, 8×8×3×3 here"),
        (add_layer, "features.4.weight is only there"),
        (drop_layer, "features.3.weight is only here"),
        (rename_all, "is only here; blocks.classifier.1.bias is only there; "),
        (store_integers, "features.2.weight is 8×8×3×3 there, 8×8×3×3 here"),
    ],
)
def test_another_architecture_is_refused_with_the_first_differences(
    change: Callable[[dict[str, Tensor]], None], said: str, tmp_path: Path
) -> None:
    given, ours = published(house()), house()
    change(given)
    drawn = state(ours)
    with pytest.raises(UserError) as error:
        begun(ours, given, tmp_path)
    assert said in str(error.value)
    assert "another architecture" in str(error.value)
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, drawn[name]) for name, value in state(ours).items())


def cut(good: bytes) -> bytes:
    return good[: len(good) // 2]


BROKEN: dict[str, tuple[str, Callable[[bytes], bytes | None], str]] = {
    "cut short": ("w.safetensors", cut, "no safetensors file, or was cut short"),
    "empty": ("w.safetensors", lambda good: b"", "no safetensors file"),
    "words": ("w.safetensors", lambda good: b"these are no weights", "no safetensors file"),
    "missing": ("w.safetensors", lambda good: None, "No such file"),
    "pickle by name": ("w.pth", lambda good: good, "torch.load('w.pth', weights_only=True), 'w.safetensors')"),
    "pickle within": ("w.safetensors", lambda good: b"PK\x03\x04" + good, "is a pickle"),
    "old pickle": ("w.safetensors", lambda good: b"\x80\x02\x8a\nl\xfc\x9cF\xf9", "is a pickle"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_files_that_hold_none_are_one_line(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, change, said = BROKEN[case]
    save_file(state(made()), tmp_path / "good.safetensors")
    data = change((tmp_path / "good.safetensors").read_bytes())
    if data is not None:
        (tmp_path / name).write_bytes(data)
    words = ["fit", "bars", "--model", "cnn", "--weights", str(tmp_path / name), "--out", str(tmp_path / "run")]
    assert cli.main(words) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.startswith("theta: ")
    assert "\n" not in error
    assert not (tmp_path / "run").exists()


def test_numbers_that_are_not_finite_and_learners_without_weights_are_refused(tmp_path: Path) -> None:
    given = state(made())
    given["dense.0.weight"][3, 2] = torch.nan
    with pytest.raises(UserError, match=r"dense\.0\.weight holds numbers that are not finite"):
        begun(made(), given, tmp_path)
    with pytest.raises(UserError, match="knn has no weights to begin with"):
        begun(made({"name": "knn"}), state(made()), tmp_path)
    with pytest.raises(UserError, match="another architecture"):  # a head of the right shape alone is nothing
        begun(made({"name": "softmax"}, size=4), {"head.bias": torch.zeros(2), "trunk.w": torch.zeros(1)}, tmp_path)


# --- runs -----------------------------------------------------------------------------------------------------------


def recipe(place: Path, **changes: Any) -> Recipe:
    engine = {"precision": "float32", "device": "cpu", "checkpoint": 1e-9, "weights": str(place)}
    whole = Recipe(data=BARS, model={**CNN, "dropout": 0.3}, budget={"epochs": 3}, engine=engine, seed=3)
    return whole.replace(**changes)


class Stop(Watch):
    """Ends the process at a step, as the loss of power would."""

    def step(self, step: int, steps: int) -> None:
        if step == 7:
            raise KeyboardInterrupt


def test_a_resumed_run_reaches_the_same_bits_without_the_file(tmp_path: Path) -> None:
    source = tmp_path / "source.safetensors"
    save_file(state(made({**CNN, "dropout": 0.3})), source)
    whole = star.train(recipe(source), tmp_path / "whole")
    with contextlib.suppress(KeyboardInterrupt):
        star.train(recipe(source), tmp_path / "part", watch=Stop())
    begun_with = Run(tmp_path / "part").provenance["weights"]
    assert begun_with == {"file": str(source), "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
    source.unlink()
    run = Run.open(tmp_path / "part")
    assert not run.finished
    assert run.recipe.engine["weights"] == str(source)
    part = star.train(run.recipe, tmp_path / "part")
    assert part.facts["steps"] == whole.facts["steps"] > 7
    for name, value in whole.program.state_dict().items():
        assert torch.equal(part.program.state_dict()[name], value), name
    assert Run(tmp_path / "part").provenance["weights"] == begun_with
    loaded = star.load(tmp_path / "part")  # a finished run does not ask for the file either
    assert torch.equal(loaded.program.f.head.weight, whole.program.f.head.weight)
    drawn = star.train(recipe(source, engine={"precision": "float32", "device": "cpu"}))
    assert not torch.equal(drawn.program.f.head.weight, whole.program.f.head.weight)


def test_a_file_that_changed_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    source = tmp_path / "source.safetensors"
    save_file(state(made()), source)
    star.train(recipe(source, model=CNN), tmp_path / "run")
    save_file({name: 2 * value for name, value in state(made()).items()}, source)
    with pytest.raises(UserError, match="has changed since"):
        star.train(recipe(source, model=CNN), tmp_path / "run")


def test_the_command_goes_on_with_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    words = ["fit", "bars", "data.rows=90", "--model", "cnn", "model.channels=[4,6]", "model.hidden=8"]
    assert cli.main([*words, "--steps", "20", "--out", str(first)]) == 0
    capsys.readouterr()
    assert cli.main([*words, "--steps", "1", "algorithm.lr=1e-9", "--weights", str(first), "--out", str(second)]) == 0
    said = capsys.readouterr().err
    assert "from model.safetensors; inputs are standardised as they were there" in said
    one, two = star.load(first), star.load(second)
    torch.testing.assert_close(two.program.f.dense[0].weight, one.program.f.dense[0].weight, atol=1e-7, rtol=0)
    assert cli.main([*words, "--weights", str(first), "engine.weights=other"]) == 2
    assert "one of the two" in capsys.readouterr().err


def test_members_of_a_population_share_what_was_read(tmp_path: Path) -> None:
    given = dict(state(made(classes=9)).items())
    save_file(given, tmp_path / "w.safetensors")
    asked = recipe(tmp_path / "w.safetensors", model=CNN, method={"name": "population", "members": 3})
    program = equation.assemble(asked, open_for(asked).schema)
    stacks = dict(program.method.named_parameters())
    dense, head = stacks["members.f.dense.0.weight"], stacks["members.f.head.weight"]
    assert all(torch.equal(dense[k], given["dense.0.weight"]) for k in range(3))
    assert not torch.equal(head[0], head[1])
