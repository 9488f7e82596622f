"""Random mirroring."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["flip"]


class flip(Augment):
    """x[c, i, j] ↦ x[c, i, width − 1 − j] with probability p, else x.

    Args:
        p: probability of a mirrored example, in [0, 1].

    Shapes: (batch, channels, height, width) → the same.

    Source: Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks.
    """

    def __init__(self, *, p: Fraction = 0.5) -> None:
        self.p = p

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if x.ndim != 4:
            raise UserError(f"flip on inputs of shape {tuple(x.shape[1:])}", "images", "leave it out of data.augment")
        mirrored = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) < self.p
        return torch.where(mirrored, x.flip(-1), x)
