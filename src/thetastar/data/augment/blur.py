"""Random Gaussian blur."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.blurring import blurred
from thetastar.functional.pictures import Draws, chosen, kept, of_images, on_some, uniform
from thetastar.protocols import Augment
from thetastar.registry import Fraction, Positive

__all__ = ["blur"]


class blur(Augment):
    """x ↦ x ∗ N(0, σ²) with probability p; σ uniform on [least, most], the image mirrored at its edge.

    Args:
        p: probability of a blurred example, in [0, 1].
        least: smallest standard deviation σ, in pixels.
        most: largest standard deviation σ, in pixels; weights are cut at three times this.

    Shapes: (batch, channels, height, width) → the same.

    Source: Chen, Kornblith, Norouzi and Hinton 2020, A simple framework for contrastive learning of visual
    representations.
    """

    def __init__(self, *, p: Fraction = 0.5, least: Positive = 0.1, most: Positive = 1.0) -> None:
        if least > most:
            raise UserError(f"blur.least={least:g}", f"at most {most:g}, the largest deviation", "lower least")
        self.p, self.least, self.most = p, least, most

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        which = chosen(of_images(x, "blur"), self.p, generator)
        std = uniform(x, self.least, self.most, generator)
        radius = min(math.ceil(3 * self.most), *(size - 1 for size in x.shape[2:]))
        return kept(on_some(x.clone(), which, partial(blurred, radius=radius), std), x)
