"""Random loss of colour."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.colour import luma
from thetastar.functional.pictures import Draws, chosen, kept, of_images, on_some, planar
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["greyscale"]


class greyscale(Augment):
    """x ↦ 0.299 R + 0.587 G + 0.114 B in every channel, with probability p.

    Args:
        p: probability of an example without colour, in [0, 1].

    Shapes: (batch, channels, height, width) → the same; a single channel stays as it is.

    Source: Chen, Kornblith, Norouzi and Hinton 2020, A simple framework for contrastive learning of visual
    representations.
    """

    def __init__(self, *, p: Fraction = 0.2) -> None:
        self.p = p

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        which = chosen(of_images(x, "greyscale"), self.p, generator)
        return kept(on_some(planar(x), which, grey), x)


def grey(x: Tensor) -> Tensor:
    return luma(x).clamp_(0, 1).expand_as(x)
