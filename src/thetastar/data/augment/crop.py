"""Random crop of the padded image."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from thetastar.data.augment.moving import Placed
from thetastar.functional.pictures import Draws
from thetastar.functional.placing import moved
from thetastar.registry import Fraction

__all__ = ["crop"]


class crop(Placed):
    """x[c, i, j] ↦ x̃[c, i + Δ₁, j + Δ₂], Δ uniform on {−p, …, p}², x̃ the image padded by p pixels.

    Args:
        share: p as a share of the shorter side, in [0, 1]; rounded to pixels (1/8 is 4 pixels of 32).
        fill: what the image is padded with: zeros, its edge, or itself mirrored at the middle of its edge pixels.

    Shapes: (batch, channels, height, width) → the same.

    Source: Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks; He,
    Zhang, Ren and Sun 2016, Deep residual learning for image recognition.
    """

    def __init__(self, *, share: Fraction = 0.125, fill: Literal["zero", "edge", "reflect"] = "zero") -> None:
        self.share, self.fill = share, fill

    def places(self, x: Tensor, generator: Draws) -> tuple[Tensor, Tensor]:
        height, width = x.shape[2:]
        reach = round(self.share * min(height, width))
        offset = torch.randint(-reach, reach + 1, (2, len(x)), generator=generator, device=x.device)
        return moved(offset[0], height, self.fill), moved(offset[1], width, self.fill)
