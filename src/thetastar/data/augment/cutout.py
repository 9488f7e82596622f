"""Random squares cut out."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.boxes import within
from thetastar.functional.pictures import Draws, of_images, uniform
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["cutout"]


class cutout(Augment):
    """x ↦ 0 inside a square whose middle is a uniform pixel, so that the edge may cut the square; x outside.

    Args:
        share: side of the square as a share of the shorter side, in [0, 1]; rounded to pixels.

    Shapes: (batch, channels, height, width) → the same.

    Source: DeVries and Taylor 2017, Improved regularization of convolutional neural networks with cutout.
    """

    def __init__(self, *, share: Fraction = 0.5) -> None:
        self.share = share

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        height, width = of_images(x, "cutout").shape[2:]
        side = round(self.share * min(height, width))
        place = uniform(x, 0.0, 1.0, generator, (2,))
        top = (place[:, 0] * height).floor_() - side // 2
        left = (place[:, 1] * width).floor_() - side // 2
        size = top.new_full((), side)
        return x * ~within(x, top, left, size, size)
