"""Residual nets for small images: published counts, the forward pass by hand, and what shortcuts are for."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from tests.norms import unsettled
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar import registry
from thetastar.data.toys import bars
from thetastar.errors import UserError
from thetastar.protocols import Field, Model, Schema

PARAMETERS = [
    ({"name": "resnet20"}, 269_722),
    ({"name": "resnet20", "shortcut": "projection"}, 272_474),
    ({"name": "resnet32"}, 464_154),
    ({"name": "resnet44"}, 658_586),
    ({"name": "resnet56"}, 853_018),
    ({"name": "resnet56", "shortcut": "projection"}, 855_770),
    ({"name": "resnet110"}, 1_727_962),
    ({"name": "resnet110", "shortcut": "projection"}, 1_730_714),
    ({"name": "plain20"}, 269_722),
    ({"name": "plain56"}, 853_018),
    ({"name": "preresnet20"}, 272_282),
    ({"name": "preresnet110"}, 1_730_522),
    ({"name": "preresnet164"}, 1_703_258),
    ({"name": "wide_resnet28"}, 36_479_194),
    ({"name": "wide_resnet28", "blocks": 2}, 17_116_634),  # WRN-16-10
    ({"name": "wide_resnet28", "widening": 2}, 1_467_626 - 16),  # the count with a bias in the first convolution
]
NAMES = list(dict.fromkeys(spec["name"] for spec, _ in PARAMETERS))


def schema(size: int = 32, channels: int = 3, classes: int = 10) -> Schema:
    field = Field("image", (channels, size, size), mean=(0.5,) * channels, std=(0.25,) * channels)
    return Schema(field, Field("category", (), classes))


@pytest.mark.shows("V6")
@pytest.mark.parametrize(("spec", "count"), PARAMETERS, ids=lambda part: str(part))
def test_published_number_of_parameters(spec: dict, count: int) -> None:
    with torch.device("meta"):
        f = registry.build("models", spec, schema())
    assert sum(p.numel() for p in f.parameters()) == count


@pytest.mark.shows("V6")
@pytest.mark.parametrize(
    ("name", "layers"), [("resnet20", 20), ("plain56", 56), ("resnet110", 110), ("preresnet164", 164)]
)
def test_the_number_in_a_name_is_that_of_the_layers_with_weights(name: str, layers: int) -> None:
    """Convolutions and the last, linear layer; projections are not counted."""
    with torch.device("meta"):
        f = registry.build("models", name, schema())
    weighted = [place for place, layer in f.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert sum("downsample" not in place for place in weighted) == layers


@pytest.mark.shows("V6")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [32, 64, 224])
def test_shapes(name: str, size: int) -> None:
    with torch.device("meta"):
        f = registry.build("models", {"name": name, "blocks": 2}, schema(size))
        x = torch.empty(2, 3, size, size)
    h = f.layer3(f.layer2(f.layer1(f.conv1(x))))
    assert h.shape == (2, f.width, size // 4, size // 4)
    assert f(x).shape == (2, 10)


def normalised(state: dict[str, Tensor], place: str, h: Tensor) -> Tensor:
    parts = (state[f"{place}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(h, *parts)


def shortcut_by_hand(state: dict[str, Tensor], place: str, x: Tensor, h: Tensor, stride: int) -> Tensor:
    """x where h has its shape; else its projection, or x and zeros on either side."""
    if f"{place}.downsample.0.weight" in state:
        x = F.conv2d(x, state[f"{place}.downsample.0.weight"], stride=stride)
        return normalised(state, f"{place}.downsample.1", x) if f"{place}.downsample.1.weight" in state else x
    padded = torch.zeros_like(h)
    before = (h.shape[1] - x.shape[1]) // 2
    padded[:, before : before + x.shape[1]] = x[:, :, ::stride, ::stride]
    return padded


def by_hand(state: dict[str, Tensor], x: Tensor, blocks: int, *, skips: bool) -> Tensor:
    """Post-activation nets."""
    h = F.relu(normalised(state, "bn1", F.conv2d((x - 0.5) / 0.25, state["conv1.weight"], padding=1)))
    for stage in (1, 2, 3):
        for block in range(blocks):
            place, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            inner = F.conv2d(h, state[f"{place}.conv1.weight"], stride=stride, padding=1)
            inner = F.relu(normalised(state, f"{place}.bn1", inner))
            inner = normalised(state, f"{place}.bn2", F.conv2d(inner, state[f"{place}.conv2.weight"], padding=1))
            h = F.relu(inner + shortcut_by_hand(state, place, h, inner, stride) if skips else inner)
    return h.mean((2, 3)) @ state["head.weight"].T + state["head.bias"]


def preactivated_by_hand(state: dict[str, Tensor], x: Tensor, blocks: int) -> Tensor:
    h = F.conv2d((x - 0.5) / 0.25, state["conv1.weight"], padding=1)
    for stage in (1, 2, 3):
        for block in range(blocks):
            place, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            before = inner = F.relu(normalised(state, f"{place}.bn1", h))
            if f"{place}.conv3.weight" in state:
                inner = F.conv2d(inner, state[f"{place}.conv1.weight"])
                inner = F.relu(normalised(state, f"{place}.bn2", inner))
                inner = F.conv2d(inner, state[f"{place}.conv2.weight"], stride=stride, padding=1)
                inner = F.relu(normalised(state, f"{place}.bn3", inner))
                inner = F.conv2d(inner, state[f"{place}.conv3.weight"])
            else:
                inner = F.conv2d(inner, state[f"{place}.conv1.weight"], stride=stride, padding=1)
                inner = F.relu(normalised(state, f"{place}.bn2", inner))
                inner = F.conv2d(inner, state[f"{place}.conv2.weight"], padding=1)
            same = inner.shape == h.shape
            h = inner + (h if same else shortcut_by_hand(state, place, before, inner, stride))
    h = F.relu(normalised(state, "closing.0", h))
    return h.mean((2, 3)) @ state["head.weight"].T + state["head.bias"]


def drawn(spec: dict) -> Model:
    """A model in eval mode whose batch norms have moments, gains and shifts drawn at random."""
    torch.manual_seed(1)
    f = registry.build("models", spec, schema(18))
    return unsettled(f)


@pytest.mark.shows("V6")
@pytest.mark.parametrize("size", [18, 19])
@pytest.mark.parametrize(
    "spec",
    [
        {"name": "resnet20"},
        {"name": "resnet20", "shortcut": "projection", "widening": 2},
        {"name": "plain20"},
        {"name": "preresnet20"},
        {"name": "preresnet20", "shortcut": "zeros"},
        {"name": "preresnet164", "blocks": 2},
        {"name": "wide_resnet28", "widening": 3, "blocks": 2},
    ],
    ids=lambda spec: "-".join(map(str, spec.values())),
)
def test_forward_by_hand_from_the_state_dict(spec: dict, size: int) -> None:
    f, x = drawn({"blocks": 3, "width": 4, **spec}), torch.rand(2, 3, size, size)
    state, blocks = f.state_dict(), len(f.layer1)
    with torch.no_grad():
        if spec["name"].startswith(("pre", "wide")):
            expected = preactivated_by_hand(state, x, blocks)
        else:
            expected = by_hand(state, x, blocks, skips=spec["name"] != "plain20")
        found = f(x)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@cache
def final_loss(name: str, seed: int) -> float:
    """Cross-entropy on the whole of a toy set after 25 steps."""
    source = bars(rows=64)
    given, columns = source.prepare(range(64))
    x, y = columns["input"].float(), columns["target"]
    torch.manual_seed(seed)
    f = registry.build("models", {"name": name, "width": 4}, given)
    rule = torch.optim.SGD(f.parameters(), 0.02, momentum=0.9)
    for _ in range(25):
        rule.zero_grad()
        F.cross_entropy(f(x), y).backward()
        rule.step()
    with torch.no_grad():
        return F.cross_entropy(f(x), y).item()


@pytest.mark.shows("V6")
@pytest.mark.parametrize("seed", range(3))
def test_depth_harms_the_training_of_plain_nets_and_serves_residual_ones(seed: int) -> None:
    """The first table of the paper in small: same weights and steps, with and without shortcuts."""
    plain20, plain56, resnet20, resnet56 = (
        final_loss(name, seed) for name in ("plain20", "plain56", "resnet20", "resnet56")
    )
    assert plain56 > plain20 > resnet20 > resnet56
    assert plain56 > 1 > 10 * resnet56  # of ln 4 = 1.39


@pytest.mark.shows("V6")
@pytest.mark.parametrize("name", ["resnet20", "preresnet20", "wide_resnet28"])
def test_begun_at_zero_gain_depth_changes_nothing(name: str) -> None:
    """All blocks but the first of each stage are the identity, and so is their absence."""
    torch.manual_seed(0)
    f = registry.build("models", {"name": name, "width": 4, "widening": 1, "zero_gain": True}, schema(8))
    x = torch.rand(4, 3, 8, 8)
    with torch.no_grad():
        whole = f.eval()(x)
        for stage in (f.layer1, f.layer2, f.layer3):
            del stage[1:]
        assert torch.equal(f(x), whole)


def test_twins_begin_with_the_same_weights() -> None:
    """So that a comparison of the two is one of shortcuts alone."""
    states = []
    for name in ("plain20", "resnet20"):
        torch.manual_seed(3)
        states.append(registry.build("models", name, schema()).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.parametrize("size", [1, 3])
def test_tiny_images_go_through(size: int) -> None:
    f = registry.build("models", {"name": "resnet20", "width": 4}, schema(size, channels=1))
    assert f(torch.rand(3, 1, size, size)).shape == (3, 10)


def test_refusals() -> None:
    with pytest.raises(UserError, match="resnet20 on vector inputs"):
        registry.build("models", "resnet20", Schema(Field("vector", (8,)), Field("category", (), 3)))
    with pytest.raises(UserError, match="plain20 with zero_gain and without shortcuts"):
        registry.build("models", {"name": "plain20", "zero_gain": True}, schema())
    with pytest.raises(UserError, match="shortcut"):
        registry.build("models", {"name": "resnet20", "shortcut": "zero"}, schema())
