"""Random translation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["shift"]


class shift(Augment):
    """x[c, i, j] ↦ x[c, i + Δ₁, j + Δ₂], Δ uniform on {−p, …, p}², zeros coming in: a crop of the zero-padded image.

    Args:
        share: p as a share of the shorter side, in [0, 1]; rounded to pixels (1/8 is 4 pixels of 32).

    Shapes: (batch, channels, height, width) → the same.

    Source: Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks.
    """

    def __init__(self, *, share: Fraction = 0.125) -> None:
        self.share = share

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if x.ndim != 4:
            raise UserError(f"shift on inputs of shape {tuple(x.shape[1:])}", "images", "leave it out of data.augment")
        batch, _, height, width = x.shape
        reach = round(self.share * min(height, width))
        offset = torch.randint(2 * reach + 1, (2, batch, 1), generator=generator, device=x.device)
        rows = offset[0] + torch.arange(height, device=x.device)  # (batch, height)
        columns = offset[1] + torch.arange(width, device=x.device)  # (batch, width)
        padded = F.pad(x, (reach, reach, reach, reach)).permute(0, 2, 3, 1)
        which = torch.arange(batch, device=x.device)[:, None, None]
        return padded[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
