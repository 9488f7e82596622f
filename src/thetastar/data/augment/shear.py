"""Random shear."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from thetastar.data.augment.moving import Warped
from thetastar.functional.pictures import Draws, uniform
from thetastar.functional.warping import mapping

__all__ = ["shear"]

BelowHalfRight = Annotated[float, Ge(0), Lt(45)]


class shear(Warped):
    """u ↦ K u about the image's centre, K = [[1, tan κ₁], [tan κ₂, 1]], κ uniform on [−degrees, degrees]².

    Args:
        degrees: largest angle to either side, in degrees below 45.
        fill: what comes in from beyond the image: zeros or its edge.

    Shapes: (batch, channels, height, width) → the same.

    Source: Simard, Steinkraus and Platt 2003, Best practices for convolutional neural networks applied to visual
    document analysis.
    """

    def __init__(self, *, degrees: BelowHalfRight = 10.0, fill: Literal["zero", "edge"] = "zero") -> None:
        self.degrees, self.fill = degrees, fill

    def matrix(self, x: Tensor, generator: Draws) -> Tensor:
        along, across = (uniform(x, -1.0, 1.0, generator, (2,)) * math.radians(self.degrees)).tan().unbind(1)
        none = torch.zeros_like(along)
        return mapping(none, none, none, none + 1, along, across)
