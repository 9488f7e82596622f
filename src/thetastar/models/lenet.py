"""LeNet-5, with which convolutional nets began."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.layers.activation import Activation, phi
from thetastar.layers.ends import Standardise, head, only_image
from thetastar.layers.initialising import Init, initialise
from thetastar.layers.remaining import remaining
from thetastar.protocols import Model, Schema
from thetastar.registry import Count

__all__ = ["lenet5"]

SIDE = 32  # pixels of the paper's field, in the middle of which it sets digits of 28×28


class lenet5(Model):
    """LeNet-5: (conv 5×5 → φ → average pooling 2) twice, then layers of 120 and 84 units and a linear one.

    61,706 parameters on grey 32×32 images in ten classes: as published, but that every channel of the second
    convolution sees all of the first, poolings have no weights, φ is tanh without factors and classes have logits.
    Smaller images are set in the middle of a field of 32×32, filled with the mean of the training images.

    Args:
        schema: images.
        channels: of the two convolutions, C1 and C3 of the paper.
        hidden: units of the two dense layers, C5 and F6.
        activation: φ.
        init: how weights are drawn; "auto" goes by activation and depth.

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        channels: tuple[Count, Count] = (6, 16),
        hidden: tuple[Count, Count] = (120, 84),
        activation: Activation = "tanh",
        init: Init = "auto",
    ) -> None:
        super().__init__()
        field = only_image(schema, "lenet5")
        depth, height, width = field.shape
        self.standardise = Standardise(field)
        self.margins = (*margins(width), *margins(height))
        if any(self.margins):
            shown = f"{max(height, SIDE)}×{max(width, SIDE)}"
            self.said = [f"field: {height}×{width} images stand in the middle of {shown} pixels, as in the paper"]
        first, second = channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(depth, first, 5),
            phi(activation),
            nn.AvgPool2d(2),
            nn.Conv2d(first, second, 5),
            phi(activation),
            nn.AvgPool2d(2),
        )
        whole = replace(field, shape=(depth, max(height, SIDE), max(width, SIDE)))
        places = math.prod(remaining(self.convolutions, whole, "lenet5", "choose mlp"))
        self.dense = nn.Sequential(
            nn.Linear(second * places, hidden[0]),
            phi(activation),
            nn.Linear(hidden[0], hidden[1]),
            phi(activation),
        )
        self.width = hidden[1]
        self.head = head(self.width, schema)
        initialise(nn.ModuleList([self.convolutions, self.dense]), self.head, init, activation)

    def features(self, x: Tensor) -> Tensor:
        h = F.pad(self.standardise(x), self.margins)  # zero is the mean
        return self.dense(self.convolutions(h).flatten(1))


def margins(size: int) -> tuple[int, int]:
    """Pixels before and after an axis of the image that make it as long as the field."""
    missing = max(SIDE - size, 0)
    return missing // 2, missing - missing // 2
