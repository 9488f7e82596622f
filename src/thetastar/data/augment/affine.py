"""Random rotation, translation, scale and shear at once."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from annotated_types import Ge, Lt
from torch import Tensor

from thetastar.data.augment.moving import Warped
from thetastar.errors import UserError
from thetastar.functional.pictures import Draws, uniform
from thetastar.functional.warping import mapping
from thetastar.registry import NonNegative, Positive

__all__ = ["affine"]

BelowHalfRight = Annotated[float, Ge(0), Lt(45)]


class affine(Warped):
    """u ↦ s R(α) K u + d about the image's centre, resampled once, K = [[1, tan κ₁], [tan κ₂, 1]].

    α, κ₁ and κ₂ are uniform on ± their largest values, s on [least, most], d on ± a share of width and height.

    Args:
        degrees: largest angle α to either side, in degrees.
        translate: largest shift to either side, as a share of the side.
        least: smallest scale s; below 1 makes things smaller.
        most: largest scale s.
        shear: largest angle κ to either side, in degrees below 45.
        fill: what comes in from beyond the image: zeros or its edge.

    Shapes: (batch, channels, height, width) → the same.

    Source: Simard, Steinkraus and Platt 2003, Best practices for convolutional neural networks applied to visual
    document analysis.
    """

    def __init__(
        self,
        *,
        degrees: NonNegative = 15.0,
        translate: NonNegative = 0.1,
        least: Positive = 0.9,
        most: Positive = 1.1,
        shear: BelowHalfRight = 10.0,
        fill: Literal["zero", "edge"] = "zero",
    ) -> None:
        if least > most:
            raise UserError(f"least={least:g}", f"at most {most:g}, the largest scale", "lower least")
        self.degrees, self.translate, self.shear, self.fill = degrees, translate, shear, fill
        self.least, self.most = least, most

    def matrix(self, x: Tensor, generator: Draws) -> Tensor:
        height, width = x.shape[2:]
        angle, right, down, first, second = uniform(x, -1.0, 1.0, generator, (5,)).unbind(1)
        zoom = uniform(x, self.least, self.most, generator)
        steep = math.radians(self.shear)
        return mapping(
            angle * math.radians(self.degrees),
            right * (self.translate * width),
            down * (self.translate * height),
            zoom,
            (first * steep).tan(),
            (second * steep).tan(),
        )
