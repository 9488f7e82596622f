"""Random shift of each channel."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.pictures import Draws, of_images, uniform
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["colour_shift"]


class colour_shift(Augment):
    """x[c] ↦ clip(x[c] + δ_c), δ uniform on [−most, most], one for each channel.

    Args:
        most: largest shift to either side, in [0, 1].

    Shapes: (batch, channels, height, width) → the same.

    Source: Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks, with
    independent channels.
    """

    def __init__(self, *, most: Fraction = 0.1) -> None:
        self.most = most

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        channels = of_images(x, "colour_shift").shape[1]
        shift = uniform(x, -self.most, self.most, generator, (channels, 1, 1))
        return (x + shift.to(x.dtype)).clamp_(0, 1)
