"""Residual nets for photographs: published counts, checkpoints' names, the forward pass by hand from a state dict."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from tests.norms import unsettled
from torch import Tensor
from torch.nn import functional as F

from thetastar import registry
from thetastar.errors import UserError
from thetastar.protocols import Field, Model, Schema

PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "wide_resnet50": 68_883_240,
    "resnext50": 25_028_904,
    "preresnet18": 11_687_848,
    "preresnet50": 25_549_480,
}


def schema(size: int, channels: int = 3, classes: int = 1000) -> Schema:
    field = Field("image", (channels, size, size), mean=(0.5,) * channels, std=(0.25,) * channels)
    return Schema(field, Field("category", (), classes))


@cache
def on_meta(name: str) -> Model:
    with torch.device("meta"):
        return registry.build("models", name, schema(224))


def drawn(spec: dict, given: Schema) -> Model:
    """A model in eval mode whose batch norms have moments, gains and shifts drawn at random."""
    torch.manual_seed(0)
    f = registry.build("models", spec, given)
    return unsettled(f)


@pytest.mark.shows("V6")
@pytest.mark.parametrize("name", PARAMETERS)
def test_published_number_of_parameters(name: str) -> None:
    assert sum(p.numel() for p in on_meta(name).parameters()) == PARAMETERS[name]


@pytest.mark.shows("V6")
@pytest.mark.parametrize(("name", "count"), [("resnet18", 11_181_642), ("resnet50", 23_528_522)])
def test_published_number_of_parameters_in_ten_classes(name: str, count: int) -> None:
    with torch.device("meta"):
        f = registry.build("models", name, schema(224, classes=10))
    assert sum(p.numel() for p in f.parameters()) == count


@pytest.mark.shows("V6")
@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("size", [32, 64, 224])
def test_shapes(name: str, size: int) -> None:
    with torch.device("meta"):
        f = registry.build("models", {"name": name, "blocks": [1, 1, 2, 1]}, schema(size))
        x = torch.empty(2, 3, size, size)
    stem = f.maxpool(f.conv1(x))
    assert stem.shape[-1] == {32: 32, 64: 64, 224: 56}[size]
    assert f.layer4(f.layer3(f.layer2(f.layer1(stem)))).shape == (2, f.width, stem.shape[-1] // 8, stem.shape[-1] // 8)
    assert f(x).shape == (2, 1000)
    (line,) = f.said
    assert ("3×3 convolution in place of" in line) == (size < 96)


@pytest.mark.shows("V6")
@pytest.mark.parametrize(
    ("name", "blocks", "convolutions"), [("resnet34", (3, 4, 6, 3), 2), ("resnet152", (3, 8, 36, 3), 3)]
)
def test_names_are_those_of_the_usual_checkpoints(name: str, blocks: tuple[int, ...], convolutions: int) -> None:
    def norm(place: str) -> list[str]:
        return [f"{place}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]

    expected = ["conv1.weight", *norm("bn1"), "fc.weight", "fc.bias"]
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            place = f"layer{stage}.{block}"
            for part in range(1, convolutions + 1):
                expected += [f"{place}.conv{part}.weight", *norm(f"{place}.bn{part}")]
            if block == 0 and (stage > 1 or convolutions == 3):
                expected += [f"{place}.downsample.0.weight", *norm(f"{place}.downsample.1")]
    f = on_meta(name)
    ((ours, theirs),) = f.keys.items()
    found = [theirs + key.removeprefix(ours) if key.startswith(ours) else key for key in f.state_dict()]
    assert sorted(found) == sorted([*expected, "standardise.mean", "standardise.scale"])


def normalised(state: dict[str, Tensor], place: str, h: Tensor) -> Tensor:
    gain, shift, mean, variance = (
        state[f"{place}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return gain * (h - mean) / (variance + 1e-5).sqrt() + shift


def block_by_hand(state: dict[str, Tensor], place: str, x: Tensor, stride: int, *, pre: bool) -> Tensor:
    """Shortcut + two or three convolutions; the one before the last has the stride."""
    count = sum(key.startswith(f"{place}.conv") for key in state)
    start = h = F.relu(normalised(state, f"{place}.bn1", x)) if pre else x
    for part in range(1, count + 1):
        weight = state[f"{place}.conv{part}.weight"]
        if pre and part > 1:
            h = F.relu(normalised(state, f"{place}.bn{part}", h))
        own = stride if part == count - 1 else 1
        h = F.conv2d(h, weight, stride=own, padding=weight.shape[-1] // 2, groups=h.shape[1] // weight.shape[1])
        if not pre:
            h = normalised(state, f"{place}.bn{part}", h)
            h = F.relu(h) if part < count else h
    if f"{place}.downsample.0.weight" in state:
        x = F.conv2d(start, state[f"{place}.downsample.0.weight"], stride=stride)
        x = x if pre else normalised(state, f"{place}.downsample.1", x)
    return x + h if pre else F.relu(x + h)


def by_hand(state: dict[str, Tensor], x: Tensor, *, small: bool, pre: bool) -> Tensor:
    h = (x - 0.5) / 0.25
    h = F.conv2d(h, state["conv1.weight"], stride=1 if small else 2, padding=1 if small else 3)
    h = F.relu(normalised(state, "bn1", h))
    h = h if small else F.max_pool2d(h, 3, 2, 1)
    for stage in range(1, 5):
        places = sorted({".".join(key.split(".")[:2]) for key in state if key.startswith(f"layer{stage}.")})
        for place in places:
            first = stage > 1 and place.endswith(".0")
            h = block_by_hand(state, place, h, 2 if first else 1, pre=pre)
    h = F.relu(normalised(state, "closing.0", h)) if pre else h
    return h.mean((2, 3)) @ state["head.weight"].T + state["head.bias"]


@pytest.mark.shows("V6")
@pytest.mark.parametrize("stem", ["full", "small"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "wide_resnet50", "resnext50", "preresnet18", "preresnet50"])
def test_forward_by_hand_from_the_state_dict(name: str, stem: str) -> None:
    field = Field("image", (3, 37, 44), mean=(0.5,) * 3, std=(0.25,) * 3)
    given = Schema(field, Field("category", (), 5))
    f = drawn({"name": name, "width": 16, "blocks": [2, 1, 2, 1], "stem": stem}, given)
    x = torch.rand(2, 3, 37, 44)
    with torch.no_grad():
        expected = by_hand(f.state_dict(), x, small=stem == "small", pre=name.startswith("pre"))
        found = f(x)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.shows("V6")
@pytest.mark.parametrize("name", ["resnet18", "preresnet50"])
def test_begun_at_zero_gain_the_stages_are_a_chain_of_shortcuts(name: str) -> None:
    """Blocks that keep the shape are left out by hand: nothing changes."""
    torch.manual_seed(0)
    f = registry.build("models", {"name": name, "width": 4, "blocks": [2, 3, 1, 2], "zero_gain": True}, schema(16))
    x = torch.rand(4, 3, 16, 16)
    with torch.no_grad():
        whole = f.eval()(x)
        for stage in (f.layer1, f.layer2, f.layer4):
            del stage[1:]
        assert torch.equal(f(x), whole)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_tiny_images_go_through(size: int) -> None:
    f = registry.build("models", {"name": "resnet18", "width": 4}, schema(size, channels=2))
    assert f(torch.rand(3, 2, size, size)).shape == (3, 1000)


def test_refusals() -> None:
    for given, got in (
        (Schema(Field("vector", (8,)), Field("category", (), 3)), "resnet50 on vector inputs"),
        (Schema(Field("image", (3, 8, 8)), Field("mask", (8, 8), 3)), "resnet50 with masks as targets"),
    ):
        with pytest.raises(UserError, match=got):
            registry.build("models", "resnet50", given)
    with pytest.raises(UserError, match="zero_gain and without shortcuts"):
        registry.build("models", {"name": "resnet18", "shortcut": "none", "zero_gain": True}, schema(32))
    with pytest.raises(UserError, match="blocks"):
        registry.build("models", {"name": "resnet18", "blocks": [1, 1, 1]}, schema(32))
