"""Random posterisation."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from torch import Tensor

from thetastar.functional.pictures import Draws, chosen, kept, of_images, on_some, planar, uniform
from thetastar.functional.tones import posterised
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["posterise"]

Bits = Annotated[int, Ge(1), Le(8)]


class posterise(Augment):
    """x ↦ the first b of its 8 bits, with probability p; b uniform on {least, …, 8}.

    Args:
        p: probability of a posterised example, in [0, 1].
        least: smallest number of bits b, at most 8.

    Shapes: (batch, channels, height, width) → the same.

    Source: Cubuk, Zoph, Mané, Vasudevan and Le 2019, AutoAugment: learning augmentation strategies from data.
    """

    def __init__(self, *, p: Fraction = 0.5, least: Bits = 4) -> None:
        self.p, self.least = p, least

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        which = chosen(of_images(x, "posterise"), self.p, generator)
        bits = uniform(x, self.least, 9.0, generator).floor_()
        return kept(on_some(planar(x), which, posterised, bits), x)
