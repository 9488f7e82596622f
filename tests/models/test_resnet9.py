"""The nine-layer net: its count, its arithmetic by hand, and what its residual blocks are for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.models.resnet9 import resnet9
from thetastar.protocols import Field, Schema


def schema(height: int = 32, width: int = 32, channels: int = 3, classes: int = 10) -> Schema:
    field = Field("image", (channels, height, width), mean=(0.5,) * channels, std=(0.25,) * channels)
    return Schema(field, Field("category", classes=classes))


@pytest.mark.shows("V6")
def test_parameters() -> None:
    with torch.device("meta"):
        counted = sum(parameter.numel() for parameter in resnet9(schema()).parameters())
    convolutions = 9 * (3 * 64 + 64 * 128 + 2 * 128 * 128 + 128 * 256 + 256 * 512 + 2 * 512 * 512)
    norms = 2 * (64 + 3 * 128 + 256 + 3 * 512)
    assert counted == 6_573_130 == convolutions + norms + 512 * 10 + 10


@pytest.mark.shows("V6")
def test_forward_by_hand() -> None:
    torch.manual_seed(0)
    f = resnet9(schema(), width=3).eval()
    weights: dict[str, Tensor] = f.state_dict()
    for name in weights:
        if name.endswith("running_mean"):
            weights[name].normal_()
        if name.endswith("running_var"):
            weights[name].uniform_(0.5, 2)
    x = torch.rand(2, 3, 32, 32)

    def conv(h: Tensor, name: str) -> Tensor:
        return F.conv2d(h, weights[name + ".weight"], padding=1)

    def norm(h: Tensor, name: str) -> Tensor:
        mean, variance = (weights[f"{name}.running_{what}"].view(-1, 1, 1) for what in ("mean", "var"))
        gain, bias = (weights[f"{name}.{what}"].view(-1, 1, 1) for what in ("weight", "bias"))
        return torch.relu((h - mean) / (variance + 1e-5).sqrt() * gain + bias)

    def residual(h: Tensor, name: str) -> Tensor:
        inner = h
        for number in range(2):
            inner = norm(conv(inner, f"{name}.inside.{number}.0"), f"{name}.inside.{number}.1")
        return h + inner

    h = norm(conv((x - 0.5) / 0.25, "prep.0"), "prep.1")
    h = residual(norm(F.max_pool2d(conv(h, "layer1.0"), 2), "layer1.2"), "layer1.4")
    h = norm(F.max_pool2d(conv(h, "layer2.0"), 2), "layer2.2")
    h = residual(norm(F.max_pool2d(conv(h, "layer3.0"), 2), "layer3.2"), "layer3.4")
    by_hand = (h.amax((2, 3)) * 0.125) @ weights["head.weight"].T + weights["head.bias"]
    assert torch.allclose(f(x), by_hand, atol=1e-5)


def test_too_small() -> None:
    with pytest.raises(UserError, match="7×32"):
        resnet9(schema(7, 32))
