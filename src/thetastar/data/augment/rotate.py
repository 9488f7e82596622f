"""Random rotation."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from thetastar.data.augment.moving import Warped
from thetastar.functional.pictures import Draws, uniform
from thetastar.functional.warping import mapping
from thetastar.registry import NonNegative

__all__ = ["rotate"]


class rotate(Warped):
    """u ↦ R(α) u about the image's centre, α uniform on [−degrees, degrees], bilinear between pixels.

    Args:
        degrees: largest angle to either side, in degrees.
        fill: what comes in from beyond the image: zeros or its edge.

    Shapes: (batch, channels, height, width) → the same.

    Source: Simard, Steinkraus and Platt 2003, Best practices for convolutional neural networks applied to visual
    document analysis.
    """

    def __init__(self, *, degrees: NonNegative = 15.0, fill: Literal["zero", "edge"] = "zero") -> None:
        self.degrees, self.fill = degrees, fill

    def matrix(self, x: Tensor, generator: Draws) -> Tensor:
        angle = uniform(x, -1.0, 1.0, generator) * math.radians(self.degrees)
        none = torch.zeros_like(angle)
        return mapping(angle, none, none, none + 1)
