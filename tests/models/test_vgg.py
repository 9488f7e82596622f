"""VGG: all published counts, its arithmetic by hand, the names of checkpoints, and images that poolings use up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar import registry
from thetastar.errors import UserError
from thetastar.models.vgg import VGG, vgg11, vgg16
from thetastar.protocols import Field, Schema

TINY = {"width": 3, "hidden": 8}


def schema(side: int, channels: int = 3, classes: int = 10) -> Schema:
    field = Field("image", (channels, side, side), mean=(0.5,) * channels, std=(0.25,) * channels)
    return Schema(field, Field("category", classes=classes))


@pytest.mark.shows("V4")
@pytest.mark.parametrize(
    ("name", "plain", "normalised"),
    [
        ("vgg11", 132_863_336, 132_868_840),
        ("vgg13", 133_047_848, 133_053_736),
        ("vgg16", 138_357_544, 138_365_992),
        ("vgg19", 143_667_240, 143_678_248),
    ],
)
def test_parameters(name: str, plain: int, normalised: int) -> None:
    for norm, published in ((None, plain), ("batch", normalised)):
        with torch.device("meta"):
            f = registry.build("models", {"name": name, "norm": norm}, schema(224, classes=1000))
        assert sum(parameter.numel() for parameter in f.parameters()) == published


@pytest.mark.shows("V4")
def test_parameters_with_ten_classes() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in vgg16(schema(224)).parameters()) == 134_301_514


@pytest.mark.shows("V4")
@pytest.mark.parametrize(
    ("norm", "convolutions"),
    [
        (None, [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]),
        ("batch", [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]),
    ],
)
def test_names_are_those_of_the_common_checkpoints(norm: Any, convolutions: list[int]) -> None:
    with torch.device("meta"):
        ours = vgg16(schema(224), norm=norm).state_dict()
    theirs: dict[str, Tensor] = {}
    for name, value in ours.items():
        for here, there in VGG.keys.items():
            name = there + name.removeprefix(here) if name.startswith(here) else name
        theirs[name] = value
    found = [int(name.split(".")[1]) for name, value in theirs.items() if value.ndim == 4]
    assert found == convolutions
    assert all(name.split(".")[0] in ("features", "classifier", "standardise") for name in theirs)
    dense = {name: tuple(value.shape) for name, value in theirs.items() if value.ndim == 2}
    expected = {"classifier.0.weight": (4096, 25088), "classifier.3.weight": (4096, 4096)}
    assert dense == {**expected, "classifier.6.weight": (10, 4096)}


@pytest.mark.shows("V4")
@pytest.mark.parametrize(("norm", "dense"), [(None, "full"), ("batch", "small")])
def test_forward_by_hand(norm: Any, dense: Any) -> None:
    torch.manual_seed(0)
    f = vgg11(schema(64), norm=norm, dense=dense, **TINY)
    weights, x = f.state_dict(), torch.rand(4, 3, 64, 64)
    for name in weights:
        if name.endswith("running_mean"):
            weights[name].normal_()
        if name.endswith("running_var"):
            weights[name].uniform_(0.5, 2)

    layers = iter(range(100))
    h = (x - 0.5) / 0.25
    for count in (1, 1, 2, 2, 2):
        for _ in range(count):
            name = f"convolutions.{next(layers)}"
            h = F.conv2d(h, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)
            if norm:
                name = f"convolutions.{next(layers)}"
                mean, variance = (weights[f"{name}.running_{what}"].view(-1, 1, 1) for what in ("mean", "var"))
                h = (h - mean) / (variance + 1e-5).sqrt()  # gains are 1 and shifts 0 at the start
            h = h.clamp_min(0)
            next(layers)
        h = h.unfold(2, 2, 2).unfold(3, 2, 2).amax((-2, -1))
        next(layers)
    assert h.shape == (4, 24, 2, 2)
    # of 2×2 places, 7×7 are windows that repeat them: rows 0-2 see the first, 3 the mean of both, 4-6 the second
    spread = torch.tensor([[1, 0]] * 3 + [[0.5, 0.5]] + [[0, 1]] * 3)
    h = torch.einsum("bchw,ih,jw->bcij", h, spread, spread) if dense == "full" else h.mean((2, 3))
    h = h.flatten(1)
    for name in ("classifier.0", "classifier.3"):
        h = (h @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]).clamp_min(0)
    by_hand = h @ weights["head.weight"].T + weights["head.bias"]
    torch.testing.assert_close(f.eval()(x), by_hand, atol=1e-5, rtol=1e-5)


@pytest.mark.shows("V4")
def test_small_images_get_small_dense_layers() -> None:
    with torch.device("meta"):
        small, asked, large = vgg16(schema(32)), vgg16(schema(32), dense="full"), vgg16(schema(96))
    assert [(f.classifier[0].in_features, f.width) for f in (small, asked, large)] == [
        (512, 512),
        (25088, 4096),
        (25088, 4096),
    ]
    assert small.said == [
        "dense: 512 units a layer on the mean in place of 4,096 units a layer on 7×7 places, for 32×32 images"
        " (model.dense=full is the published)"
    ]
    assert not asked.said


@pytest.mark.shows("V4")
@pytest.mark.parametrize(
    ("side", "words"),
    [
        (1, r"vgg16 on images of 1×1: pooling 1 of 5 gets 1×1 and leaves nothing; expected images of at least 32×32"),
        (8, r"vgg16 on images of 8×8: pooling 4 of 5 gets 1×1 and leaves nothing; expected images of at least 32×32"),
        (31, r"pooling 5 of 5 gets 1×1"),
    ],
)
def test_it_says_which_pooling_has_nothing_left(side: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        vgg16(schema(side))


def test_fewer_stages_fit_smaller_images() -> None:
    f = vgg16(schema(8), blocks=(1, 2, 3), **TINY)
    assert f(torch.rand(2, 3, 8, 8)).shape == (2, 10)


def test_signals_of_sixteen_layers_keep_their_size() -> None:
    """With weights drawn for ReLU, what leaves vgg19 is as large as what enters; at U(±1/√n) it would be dead."""
    torch.manual_seed(0)
    f = registry.build("models", {"name": "vgg19", "width": 8, "hidden": 64}, schema(32)).eval()
    x = torch.rand(16, 3, 32, 32)
    with torch.no_grad():
        spread = f.features(x).square().mean().sqrt()
        for layer in f.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                layer.reset_parameters()
                layer.bias.zero_()
        dead = f.features(x).square().mean().sqrt()
    assert 0.1 < spread < 10
    assert dead < 1e-3
