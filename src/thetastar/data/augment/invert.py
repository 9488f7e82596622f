"""Random inversion."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.pictures import Draws, chosen, kept, of_images, on_some, planar
from thetastar.functional.tones import inverted
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["invert"]


class invert(Augment):
    """x ↦ 1 − x with probability p, else x.

    Args:
        p: probability of an inverted example, in [0, 1].

    Shapes: (batch, channels, height, width) → the same.

    Source: Cubuk, Zoph, Mané, Vasudevan and Le 2019, AutoAugment: learning augmentation strategies from data.
    """

    def __init__(self, *, p: Fraction = 0.5) -> None:
        self.p = p

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        which = chosen(of_images(x, "invert"), self.p, generator)
        return kept(on_some(planar(x), which, inverted), x)
