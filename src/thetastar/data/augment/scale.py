"""Random scale."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from thetastar.data.augment.moving import Warped
from thetastar.errors import UserError
from thetastar.functional.pictures import Draws, uniform
from thetastar.functional.warping import mapping
from thetastar.registry import Positive

__all__ = ["scale"]


class scale(Warped):
    """u ↦ s u about the image's centre, s uniform on [least, most], bilinear between pixels.

    Args:
        least: smallest scale; below 1 makes things smaller.
        most: largest scale.
        fill: what comes in from beyond the image: zeros or its edge.

    Shapes: (batch, channels, height, width) → the same.

    Source: Simard, Steinkraus and Platt 2003, Best practices for convolutional neural networks applied to visual
    document analysis.
    """

    def __init__(self, *, least: Positive = 0.9, most: Positive = 1.1, fill: Literal["zero", "edge"] = "zero") -> None:
        if least > most:
            raise UserError(f"scale.least={least:g}", f"at most {most:g}, the largest scale", "lower least")
        self.least, self.most, self.fill = least, most, fill

    def matrix(self, x: Tensor, generator: Draws) -> Tensor:
        zoom = uniform(x, self.least, self.most, generator)
        none = torch.zeros_like(zoom)
        return mapping(none, none, none, zoom)
