"""Histograms of oriented gradients: what an image looks like by the directions of its edges."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LIMIT = 0.2  # at which a normalised entry is cut, so that no single strong edge speaks for its block
EPS = 1e-5


def hog(images: Tensor, cell: int = 8, orientations: int = 9, block: int = 2) -> Tensor:
    """h_cell(o) = Σ_{p in cell, angle(p) in bin o} ‖∇I(p)‖ / cell², blocks of cells normalised by L2-Hys.

    ∇I are central differences, 0 at the border, of the channel where they are longest; angles are taken modulo 180°.
    A block v of `block`² cells becomes v / √(‖v‖² + ε²), cut at 0.2, and is normalised again; blocks overlap by all but
    one cell. Pixels beyond the last whole cell are left out.

    Args:
        images: in any unit of brightness.
        cell: side in pixels.
        orientations: bins of the angle.
        block: side in cells.

    Shapes: (batch, channels, height, width) → (batch, rows · columns · block² · orientations), in that order.

    Source: Dalal and Triggs 2005, Histograms of oriented gradients for human detection.
    """
    dy, dx = torch.zeros_like(images), torch.zeros_like(images)
    dy[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    dx[:, :, :, 1:-1] = images[:, :, :, 2:] - images[:, :, :, :-2]
    length = torch.hypot(dx, dy)
    strongest = length.argmax(1, keepdim=True)
    dx, dy, length = (part.gather(1, strongest).squeeze(1) for part in (dx, dy, length))  # (batch, height, width)
    angle = torch.rad2deg(torch.atan2(dy, dx)) % 180.0
    bin_ = (angle * (orientations / 180.0)).long().clamp_max(orientations - 1)
    votes = F.one_hot(bin_, orientations).permute(0, 3, 1, 2) * length[:, None]
    cells = F.avg_pool2d(votes, cell)  # (batch, orientations, cell rows, cell columns)
    blocks = cells.unfold(2, block, 1).unfold(3, block, 1)  # (batch, orientations, rows, columns, block, block)
    v = blocks.permute(0, 2, 3, 4, 5, 1).flatten(3)  # (batch, rows, columns, block² · orientations)
    v = v / (v.square().sum(3, keepdim=True) + EPS**2).sqrt()
    v = v.clamp_max(LIMIT)
    return (v / (v.square().sum(3, keepdim=True) + EPS**2).sqrt()).flatten(1)


def hog_size(height: int, width: int, cell: int, orientations: int, block: int) -> int:
    """Entries of `hog`; 0 where not even one block fits."""
    return math.prod(max(side // cell - block + 1, 0) for side in (height, width)) * block**2 * orientations
