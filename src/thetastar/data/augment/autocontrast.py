"""Random stretching of contrast."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.pictures import Draws, chosen, kept, of_images, on_some, planar
from thetastar.functional.tones import stretched
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["autocontrast"]


class autocontrast(Augment):
    """x ↦ (x − min) / (max − min) over each channel of an example, with probability p.

    Args:
        p: probability of a stretched example, in [0, 1].

    Shapes: (batch, channels, height, width) → the same.

    Source: Cubuk, Zoph, Mané, Vasudevan and Le 2019, AutoAugment: learning augmentation strategies from data.
    """

    def __init__(self, *, p: Fraction = 0.5) -> None:
        self.p = p

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        which = chosen(of_images(x, "autocontrast"), self.p, generator)
        return kept(on_some(planar(x), which, stretched), x)
