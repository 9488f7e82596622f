"""Random equalisation of the histogram."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.pictures import Draws, chosen, kept, of_images, on_some, planar
from thetastar.functional.tones import equalised
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["equalise"]


class equalise(Augment):
    """x ↦ about the share of its channel's pixels that are darker, in 256 levels, with probability p.

    Args:
        p: probability of an equalised example, in [0, 1].

    Shapes: (batch, channels, height, width) → the same.

    Source: Cubuk, Zoph, Mané, Vasudevan and Le 2019, AutoAugment: learning augmentation strategies from data.
    """

    def __init__(self, *, p: Fraction = 0.5) -> None:
        self.p = p

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        which = chosen(of_images(x, "equalise"), self.p, generator)
        return kept(on_some(planar(x), which, equalised), x)
