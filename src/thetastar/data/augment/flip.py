"""Random mirroring."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.data.augment.moving import Placed, Warped
from thetastar.functional.pictures import Draws, uniform
from thetastar.registry import Fraction

__all__ = ["flip"]


class flip(Placed, Warped):
    """x[c, i, j] ↦ x[c, i, width − 1 − j] with probability p, and x[c, height − 1 − i, j] with probability vertical.

    Args:
        p: probability of an example with left and right exchanged, in [0, 1].
        vertical: probability of an example upside down, in [0, 1].

    Shapes: (batch, channels, height, width) → the same.

    Source: Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks.
    """

    def __init__(self, *, p: Fraction = 0.5, vertical: Fraction = 0.0) -> None:
        self.p, self.vertical = p, vertical

    def mirrored(self, x: Tensor, generator: Draws) -> tuple[Tensor, Tensor]:
        """(batch, 1) each: whether columns, whether rows are mirrored."""
        drawn = uniform(x, 0.0, 1.0, generator, (2,))
        return drawn[:, :1] < self.p, drawn[:, 1:] < self.vertical

    def places(self, x: Tensor, generator: Draws) -> tuple[Tensor, Tensor]:
        across, down = self.mirrored(x, generator)
        rows, columns = (torch.arange(size, device=x.device) for size in x.shape[2:])
        return torch.where(down, rows.flip(0), rows), torch.where(across, columns.flip(0), columns)

    def matrix(self, x: Tensor, generator: Draws) -> Tensor:
        across, down = self.mirrored(x, generator)
        signs = 1 - 2 * torch.cat([across, down], 1).float()  # (batch, 2)
        return torch.cat([torch.diag_embed(signs), torch.zeros_like(signs)[:, :, None]], 2)
