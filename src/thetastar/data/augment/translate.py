"""Random translation by parts of pixels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from thetastar.data.augment.moving import Warped
from thetastar.functional.pictures import Draws, uniform
from thetastar.functional.warping import mapping
from thetastar.registry import NonNegative

__all__ = ["translate"]


class translate(Warped):
    """u ↦ u + d, d uniform on ± a share of width and of height, bilinear between pixels.

    Args:
        share: largest shift to either side, as a share of the side.
        fill: what comes in from beyond the image: zeros or its edge.

    Shapes: (batch, channels, height, width) → the same.

    Source: Simard, Steinkraus and Platt 2003, Best practices for convolutional neural networks applied to visual
    document analysis.
    """

    def __init__(self, *, share: NonNegative = 0.1, fill: Literal["zero", "edge"] = "zero") -> None:
        self.share, self.fill = share, fill

    def matrix(self, x: Tensor, generator: Draws) -> Tensor:
        height, width = x.shape[2:]
        right, down = uniform(x, -self.share, self.share, generator, (2,)).unbind(1)
        none = torch.zeros_like(right)
        return mapping(none, right * width, down * height, none + 1)
