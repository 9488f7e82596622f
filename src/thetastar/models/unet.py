"""U-Net: what a pixel is, from far around it; where it is, from beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from thetastar.functional.initialising import he_normal, normal
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import Standardise
from thetastar.layers.normalising import Norm, normaliser
from thetastar.layers.pixels import TOY, image_and_classes, mirrored
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["unet"]

Padding = Literal["same", "valid"]


class unet(Model):
    """U-Net: a contracting path, an expanding path, and copies of each grid of the one beside that of the other.

    down: (3×3 → φ) twice, then the maximum of 2×2 with twice the channels; up: 2×2 transposed to half the channels,
    beside the copy, (3×3 → φ) twice; φ = ReLU. 31,030,658 parameters from grey images to two classes.

    Images whose sides 2^depth does not divide are mirrored to ones that it does, and the answer is cropped back.

    Args:
        schema: images of any size, with a mask for each.
        width: channels of the first grid.
        depth: poolings; each halves the grid and doubles the channels.
        padding: "same" puts zeros around each grid. "valid" puts none, as published: a grid loses two pixels a
            convolution, copies are cropped to it, and the image is continued by its mirror image as far as the answer
            to its edges looks.
        norm: normalisation before φ; the convolutions then have no bias.
        groups: of norm "group", a divisor of all channels.
        dropout: share of the coarsest grid's entries dropped in training, in [0, 1).
        skips: false leaves the copies out, and with them half of the inputs of each step up.

    Shapes: (batch, channels, height, width) → (batch, classes, height, width).

    Source: Ronneberger, Fischer and Brox 2015, U-Net: convolutional networks for biomedical image segmentation.
    """

    keys: ClassVar[Mapping[str, str]] = {
        "head.": "outc.conv.",
        **{f"{way}.{level}.": f"{way}{level + 1}." for way in ("down", "up") for level in range(4)},
    }

    def __init__(
        self,
        schema: Schema,
        *,
        width: Count = 64,
        depth: Count = 4,
        padding: Padding = "same",
        norm: Norm | None = None,
        groups: Count = 8,
        dropout: BelowOne = 0.0,
        skips: bool = True,
    ) -> None:
        super().__init__()
        field, classes = image_and_classes(schema, "unet")
        channels, *size = field.shape

        def double(before: int, after: int) -> DoubleConv:
            return DoubleConv(before, after, padding, norm, groups)

        self.depth, self.width = depth, width
        self.padding: Padding = padding
        self.standardise = Standardise(field)
        self.inc = double(channels, width)
        levels = [width * 2**level for level in range(depth)]
        self.down = nn.ModuleList(Down(double(before, 2 * before)) for before in levels)
        self.dropout = Dropout(dropout)
        copies = 2 if skips else 1
        self.up = nn.ModuleList(Up(2 * after, double(copies * after, after), skips) for after in reversed(levels))
        self.head = nn.Conv2d(width, classes, 1)
        initialise(self)
        higher, wider = (side + sum(margins(side, depth, padding)) for side in size)
        if [higher, wider] != size:
            images = f"{size[1]}×{size[0]} images (width × height)"
            self.said = [f"{images} are mirrored at their edges to {wider}×{higher}, for padding {padding}"]

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": TOY, "model": {"name": "unet", "width": 4, "depth": 2}}

    def features(self, x: Tensor) -> Tensor:
        height, across = x.shape[-2:]
        rows, columns = (margins(side, self.depth, self.padding) for side in (height, across))
        h = self.inc(mirrored(self.standardise(x), rows, columns))
        copies: list[Tensor] = []
        for down in self.down:
            copies.append(h)
            h = down(h)
        h = self.dropout(h)
        for up in self.up:
            h = up(h, copies.pop())
        return central(h, height, across)


class DoubleConv(nn.Module):
    """(3×3 → [norm] → φ) twice.

    Shapes: (batch, before, height, width) → (batch, after, height, width); without padding less 4 a side.
    """

    def __init__(self, before: int, after: int, padding: Padding, norm: Norm | None, groups: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (before, after):
            layers.append(nn.Conv2d(inputs, after, 3, padding=1 if padding == "same" else 0, bias=norm is None))
            if norm:
                layers.append(normaliser(norm, after, groups, image=True))
            layers.append(nn.ReLU())
        self.double_conv = nn.Sequential(*layers)

    def forward(self, h: Tensor) -> Tensor:
        return self.double_conv(h)


class Down(nn.Module):
    """To half the grid by maxima, then two convolutions.

    Shapes: (batch, channels, height, width) → (batch, 2 · channels, height / 2, width / 2).
    """

    def __init__(self, double: DoubleConv) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), double)

    def forward(self, h: Tensor) -> Tensor:
        return self.maxpool_conv(h)


class Up(nn.Module):
    """To twice the grid, beside the copy from the way down, then two convolutions.

    Shapes: (batch, before, height, width), (batch, before / 2, ≥ 2 · height, ≥ 2 · width) → (batch, before / 2,
    2 · height, 2 · width).
    """

    def __init__(self, before: int, double: DoubleConv, skips: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(before, before // 2, 2, stride=2)
        self.conv = double
        self.skips = skips

    def forward(self, h: Tensor, copy: Tensor) -> Tensor:
        h = self.up(h)
        return self.conv(torch.cat([central(copy, *h.shape[-2:]), h], 1) if self.skips else h)


def central(h: Tensor, height: int, across: int) -> Tensor:
    """The middle of a grid; of an odd rest the smaller half lies before it."""
    top, left = (h.shape[-2] - height) // 2, (h.shape[-1] - across) // 2
    return h[..., top : top + height, left : left + across]


def margins(side: int, depth: int, padding: Padding) -> tuple[int, int]:
    """Pixels to add before and after a side, so that every pooling halves a whole grid and the answer covers the image.

    With c = 2^depth and b entries in the coarsest grid after its convolutions, the net makes c b of c b with padding,
    and c b − 4 (c − 1) of c (b + 4) + 4 (c − 1) without, as 388 of 572 for depth 4.
    """
    c = 2**depth
    lost = 0 if padding == "same" else 4 * (c - 1)
    answer = c * math.ceil((side + lost) / c) - lost
    around = 0 if padding == "same" else 2 * c + lost  # what the answer at an edge looks at beyond it
    before = around + (answer - side) // 2
    return before, answer + 2 * around - side - before


def initialise(net: nn.Module) -> None:
    """w ~ N(0, 2 / n) with n the numbers that enter a unit: of a transposed 2×2 with stride 2, one a channel."""
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.ConvTranspose2d):
                layer.weight.copy_(normal(layer.weight.shape, 2 / layer.in_channels))
            elif isinstance(layer, nn.Conv2d):
                layer.weight.copy_(he_normal(layer.weight.shape))
            else:
                continue
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
