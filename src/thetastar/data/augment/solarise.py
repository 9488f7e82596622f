"""Random solarisation."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.pictures import Draws, chosen, kept, of_images, on_some, planar, uniform
from thetastar.functional.tones import solarised
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["solarise"]


class solarise(Augment):
    """x ↦ 1 − x where x ≥ t, with probability p; t uniform on [least, 1].

    Args:
        p: probability of a solarised example, in [0, 1].
        least: smallest threshold t, in [0, 1]; 0 may invert the image.

    Shapes: (batch, channels, height, width) → the same.

    Source: Cubuk, Zoph, Mané, Vasudevan and Le 2019, AutoAugment: learning augmentation strategies from data.
    """

    def __init__(self, *, p: Fraction = 0.5, least: Fraction = 0.0) -> None:
        self.p, self.least = p, least

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        which = chosen(of_images(x, "solarise"), self.p, generator)
        threshold = uniform(x, self.least, 1.0, generator)
        return kept(on_some(planar(x), which, solarised, threshold), x)
