"""The nine-layer residual net that learns small images fast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.layers.activation import Activation, phi
from thetastar.layers.ends import Standardise, head, only_input
from thetastar.protocols import Model, Schema
from thetastar.registry import Count, Positive

__all__ = ["resnet9"]


class resnet9(Model):
    """conv w → [conv 2w, pool, + two of 2w] → [conv 4w, pool] → [conv 8w, pool, + two of 8w] → maximum → linear.

    Every convolution is 3×3 without bias, then batch norm, then φ; "+" adds the block's input to what it makes of it.
    Three poolings and few, wide layers keep the arithmetic in large matrices. 6,573,130 parameters on 32×32 colour
    images in ten classes at w = 64.

    Args:
        schema: images of at least 8×8.
        width: w, channels of the first layer.
        activation: φ.
        scale: of the pooled features before the linear layer, which keeps the first softmaxes soft.

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: Page 2018, How to train your ResNet; He, Zhang, Ren and Sun 2016, Deep residual learning for image
    recognition.
    """

    def __init__(
        self, schema: Schema, *, width: Count = 64, activation: Activation = "relu", scale: Positive = 0.125
    ) -> None:
        super().__init__()
        field = only_input(schema, "resnet9")
        if field.kind != "image":
            raise UserError(f"resnet9 on {field.kind} inputs", "images", "choose mlp")
        depth, height, across = field.shape
        if min(height, across) < 8:
            got = f"resnet9 on {height}×{across} images: three poolings leave nothing"
            raise UserError(got, "at least 8×8", "choose cnn or mlp")
        self.standardise = Standardise(field)
        self.prep = convolution(depth, width, activation)
        self.layer1 = nn.Sequential(*pooled(width, 2 * width, activation), Residual(2 * width, activation))
        self.layer2 = nn.Sequential(*pooled(2 * width, 4 * width, activation))
        self.layer3 = nn.Sequential(*pooled(4 * width, 8 * width, activation), Residual(8 * width, activation))
        self.scale, self.width = scale, 8 * width
        self.head = head(self.width, schema)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "bars", "model": {"name": "resnet9", "width": 4}}

    def features(self, x: Tensor) -> Tensor:
        h = self.layer3(self.layer2(self.layer1(self.prep(self.standardise(x)))))
        return self.scale * torch.amax(h, (2, 3))


class Residual(nn.Module):
    """h ↦ h + two convolutions of h."""

    def __init__(self, channels: int, activation: Activation) -> None:
        super().__init__()
        self.inside = nn.Sequential(*(convolution(channels, channels, activation) for _ in range(2)))

    def forward(self, h: Tensor) -> Tensor:
        return h + self.inside(h)


def convolution(before: int, after: int, activation: Activation) -> nn.Sequential:
    """Convolution 3×3, batch norm, φ."""
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), phi(activation))


def pooled(before: int, after: int, activation: Activation) -> list[nn.Module]:
    """A convolution whose output is pooled before it is normalised: a quarter of the work for the same maximum."""
    return [
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(after),
        phi(activation),
    ]
