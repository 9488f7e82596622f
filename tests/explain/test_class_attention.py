"""Attention of the class token: by hooks in the model's own pass, as a distribution, and the patches that hold most."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from thetastar.cli import main
from thetastar.explain.class_attention import drawn, even, holding, last_attention, over_pixels, seen_by
from thetastar.models.deit import deit_tiny
from thetastar.models.vit import VisionTransformer, vit_hybrid, vit_tiny
from thetastar.protocols import Field, Schema
from thetastar.recipe import Recipe
from thetastar.star import load, train

pytestmark = [pytest.mark.shows("L3"), pytest.mark.shows("X2")]

SCHEMA = Schema(Field("image", (3, 16, 16)), Field("category", (), classes=3))


def by_hooks(f: VisionTransformer, x: Tensor) -> Tensor:
    """softmax(q Kᵀ / √d) of the class token from what the last qkv layer gives in the model's own forward pass."""
    found: list[Tensor] = []
    attend = f.blocks[-1].attn  # type: ignore[union-attr]
    handle = attend.qkv.register_forward_hook(lambda _, __, out: found.append(out))
    f(x)
    handle.remove()
    batch, tokens, width = found[0].shape
    width //= 3
    query, key = (part.view(batch, tokens, attend.heads, -1) for part in found[0].split(width, -1)[:2])
    scores = torch.einsum("bhd,bkhd->bhk", query[:, 0], key) / (width / attend.heads) ** 0.5
    return scores.softmax(-1)


@pytest.mark.parametrize("kind", [vit_tiny, vit_hybrid, deit_tiny])
@pytest.mark.parametrize("size", [(16, 16), (24, 12)])
def test_maps_are_those_of_the_forward_pass_and_sum_to_one(
    kind: type[VisionTransformer], size: tuple[int, int]
) -> None:
    f = kind(SCHEMA, patch=4, width=16, depth=2, heads=2).eval()
    x = torch.rand(3, 3, *size)
    maps = last_attention(f, x)
    assert maps.shape == (3, 2, size[0] // 4, size[1] // 4)
    torch.testing.assert_close(maps.sum((-2, -1)), torch.ones(3, 2))
    whole = by_hooks(f, x)[..., f.tokens :]
    torch.testing.assert_close(maps.flatten(-2), whole / whole.sum(-1, keepdim=True))


def test_light_on_pixels_is_a_distribution_with_its_weight_where_the_patches_have_it() -> None:
    maps = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    maps = maps / maps.sum((-2, -1), keepdim=True)
    fine = over_pixels(maps, (32, 40))
    assert fine.shape == (2, 3, 32, 40)
    assert (fine >= 0).all()
    torch.testing.assert_close(fine.sum((-2, -1)), torch.ones(2, 3, dtype=torch.float64))
    one = torch.zeros(4, 4)
    one[1, 2] = 1
    assert over_pixels(one, (16, 16))[4:8, 8:12].sum() > 0.5


@pytest.mark.parametrize("mass", [0.1, 0.6, 0.95])
def test_a_mask_is_the_smallest_that_holds_the_mass(mass: float) -> None:
    maps = torch.rand(4, 3, 3, dtype=torch.float64) ** 3
    maps = maps / maps.sum((-2, -1), keepdim=True)
    for one, mask in zip(maps, holding(maps, mass), strict=True):
        inside = one[mask]
        assert inside.sum() >= mass
        assert inside.sum() - inside.min() < mass  # not one patch more than it takes
        assert inside.min() >= one[~mask].max() if not mask.all() else True
    assert int(holding(torch.full((4, 4), 1 / 16)).sum()) == even(16) == 10


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run")
    model = {"name": "vit_tiny", "patch": 2, "width": 16, "depth": 1, "heads": 2}
    method = {"name": "dino", "hidden": 16, "bottleneck": 8, "outputs": 16}
    source = {"name": "views", "source": "digits", "crops": 2}
    train(Recipe(data=source, model=model, method=method, budget={"steps": 5}), out=root / "dino")
    grey = (np.random.default_rng(0).random((8, 8)) * 255).astype(np.uint8)
    Image.fromarray(grey).save(root / "digit.png")
    return root


def test_a_run_is_shown_on_images_of_valid_or_on_those_named(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = tmp_path / "heads.png"
    assert main(["explain", "run", str(run / "dino"), "attention", "--json", "--out", str(place)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["images"]) == 6
    assert np.array(told["images"][2]["attention"]).shape == (2, 4, 4)
    assert Image.open(place).height > 1000
    name = str(run / "digit.png")
    assert main(["explain", "run", str(run / "dino"), "attention", name, "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["images"]
    star = load(run / "dino")
    x = torch.from_numpy(np.array(Image.open(name)))[None, None].float() / 255
    expected = last_attention(star.program.f.eval(), x)  # type: ignore[arg-type]
    np.testing.assert_allclose(one["attention"], expected[0].numpy(), rtol=1e-4)
    (seen,) = seen_by(star, x, ["digit"])
    assert drawn([seen], "label").count("<image") == 1 + 2 * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--grid", "5"], "--grid with attention"), (["nowhere.png"], "no file nowhere.png")],
)
def test_mistakes_are_one_line(run: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["explain", "run", str(run / "dino"), "attention", *words]) == 2
    assert said in capsys.readouterr().err
