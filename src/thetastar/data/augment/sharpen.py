"""Random sharpness."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.pictures import Draws, chosen, kept, of_images, on_some, planar, uniform
from thetastar.functional.tones import sharpened
from thetastar.protocols import Augment
from thetastar.registry import Fraction, NonNegative

__all__ = ["sharpen"]


class sharpen(Augment):
    """x ↦ clip(f x + (1 − f) s), s a smoothed x, with probability p; f uniform on [max(0, 1 − amount), 1 + amount].

    Args:
        p: probability of a changed example, in [0, 1].
        amount: how far f may be from 1, ≥ 0: below 1 it smooths, above 1 it sharpens.

    Shapes: (batch, channels, height, width) → the same.

    Source: Cubuk, Zoph, Mané, Vasudevan and Le 2019, AutoAugment: learning augmentation strategies from data.
    """

    def __init__(self, *, p: Fraction = 0.5, amount: NonNegative = 0.9) -> None:
        self.p, self.amount = p, amount

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        which = chosen(of_images(x, "sharpen"), self.p, generator)
        factor = uniform(x, max(0.0, 1 - self.amount), 1 + self.amount, generator)
        return kept(on_some(planar(x), which, sharpened, factor), x)
