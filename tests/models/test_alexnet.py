"""AlexNet: both published counts, both forms by hand, overlapping poolings, and what small images get."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.models.alexnet import alexnet
from thetastar.protocols import Field, Schema

TINY = {"channels": (4, 6, 8, 6, 4), "hidden": 10}


def schema(side: int, channels: int = 3, classes: int = 10) -> Schema:
    field = Field("image", (channels, side, side), mean=(0.5,) * channels, std=(0.25,) * channels)
    return Schema(field, Field("category", classes=classes))


@pytest.mark.shows("V3")
@pytest.mark.parametrize(
    ("towers", "side", "published"), [(1, 224, 61_100_840), (1, 227, 61_100_840), (2, 227, 60_965_224)]
)
def test_parameters(towers: Any, side: int, published: int) -> None:
    with torch.device("meta"):
        f = alexnet(schema(side, classes=1000), towers=towers, local_response=towers == 2)
    assert sum(parameter.numel() for parameter in f.parameters()) == published


@pytest.mark.shows("V3")
def test_names_and_shapes_are_those_of_the_common_checkpoints() -> None:
    with torch.device("meta"):
        ours = alexnet(schema(224, classes=1000)).state_dict()
    theirs = {}
    for name, value in ours.items():
        for here, there in alexnet.keys.items():
            name = there + name.removeprefix(here) if name.startswith(here) else name
        theirs[name] = tuple(value.shape)
    weights = {name.removesuffix(".weight"): shape for name, shape in theirs.items() if name.endswith(".weight")}
    assert weights == {
        "features.0": (64, 3, 11, 11), "features.3": (192, 64, 5, 5), "features.6": (384, 192, 3, 3),
        "features.8": (256, 384, 3, 3), "features.10": (256, 256, 3, 3),
        "classifier.1": (4096, 9216), "classifier.4": (4096, 4096), "classifier.6": (1000, 4096),
    }  # fmt: skip


def by_hand(weights: dict[str, Tensor], x: Tensor, *, towers: int, small: bool) -> Tensor:
    """The net of `weights`: grouped convolutions channel part by channel part, torch's own local response norm."""

    def conv(h: Tensor, layer: int, groups: int = 1, **how: int) -> Tensor:
        weight, bias = (weights[f"convolutions.{layer}.{what}"].chunk(groups) for what in ("weight", "bias"))
        parts = zip(h.chunk(groups, 1), weight, bias, strict=True)
        return torch.cat([F.conv2d(part, w, b, **how) for part, w, b in parts], 1).clamp_min(0)

    def pool(h: Tensor, *, compete: bool = False) -> Tensor:
        if compete:
            h = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)(h)  # torch divides α by the number of channels
        if small:  # an incomplete last window takes what there is
            missing = [(3 - side) % 2 if side >= 3 else 3 - side for side in h.shape[2:]]
            h = F.pad(h, (0, missing[1], 0, missing[0]), value=-torch.inf)
        return h.unfold(2, 3, 2).unfold(3, 3, 2).amax((-2, -1))

    local = towers == 2
    h = conv((x - 0.5) / 0.25, 0, **({"padding": 2} if small else {"stride": 4, "padding": 0 if local else 2}))
    h = pool(conv(pool(h, compete=local), 3, towers, padding=2), compete=local)
    h = conv(conv(conv(h, 6, padding=1), 8, towers, padding=1), 10, towers, padding=1)
    h = pool(h)
    h = (h if small else F.adaptive_avg_pool2d(h, 6)).flatten(1)
    for name in ("classifier.1", "classifier.4"):
        h = (h @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]).clamp_min(0)
    return h @ weights["head.weight"].T + weights["head.bias"]


@pytest.mark.shows("V3")
@pytest.mark.parametrize(("towers", "side"), [(1, 224), (2, 227), (1, 32), (2, 21)])
def test_forward_by_hand(towers: Any, side: int) -> None:
    torch.manual_seed(0)
    f = alexnet(schema(side), towers=towers, local_response=towers == 2, **TINY).eval()
    with torch.no_grad():
        f.convolutions[0].weight.mul_(30)  # so that channels compete: the norm then takes off a tenth and more
        x = torch.rand(2, 3, side, side)
        out = f(x)
    expected = by_hand(f.state_dict(), x, towers=towers, small=side < 96)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    if towers == 2:
        without = alexnet(schema(side), towers=2, **TINY).eval()
        without.load_state_dict(f.state_dict())  # local response norm has no weights
        assert (without(x) - out).abs().max() > 0.1 * out.abs().max()


@pytest.mark.shows("V3")
def test_poolings_overlap() -> None:
    """The middle of two windows moves both outputs; with windows of 2×2 it would move one."""
    f = alexnet(schema(32), **TINY)
    h = torch.zeros(1, 1, 7, 7)
    h[0, 0, 0, 2] = 1
    assert f.convolutions[2](h)[0, 0, 0].tolist() == [1, 1, 0]


@pytest.mark.shows("V3")
def test_small_images_get_the_small_stem() -> None:
    small, asked, large = (
        alexnet(schema(side), stem=stem, **TINY) for side, stem in ((64, "auto"), (64, "full"), (96, "auto"))
    )
    assert small.convolutions[0].kernel_size == (5, 5)
    assert asked.convolutions[0].kernel_size == large.convolutions[0].kernel_size == (11, 11)
    assert "convolution 5×5, stride 1 in place of convolution 11×11" in small.said[0]
    assert not asked.said
    assert "as published" in large.said[0]


def test_dropout_is_before_both_dense_layers_and_in_training_alone() -> None:
    torch.manual_seed(0)
    f = alexnet(schema(8), **{**TINY, "hidden": 200})
    x = torch.rand(4, 3, 8, 8)
    assert not torch.equal(f(x), f(x))
    assert torch.equal(f.eval()(x), f(x))
    inputs = f.train().classifier[0](torch.ones(1, 1000))
    assert 0.4 < (inputs == 0).float().mean() < 0.6


@pytest.mark.parametrize(
    ("side", "options", "words"),
    [
        (1, {}, r"1×1: pooling 1 of 3 gets 1×1 and leaves nothing; expected images of at least 8×8"),
        (7, {}, r"7×7: pooling 3 of 3 gets 1×1 .* at least 8×8"),
        (62, {"stem": "full"}, r"pooling 3 of 3 gets 2×2 .* at least 63×63; set model.stem=small"),
        (66, {"stem": "full", "towers": 2}, r"at least 67×67"),
        (32, {"towers": 2, "channels": (4, 5, 4, 4, 4)}, "even numbers"),
    ],
)
def test_what_does_not_fit_is_refused(side: int, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        alexnet(schema(side), **options)
