"""Gaussian blur, every example by its own width."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def blurred(x: Tensor, std: Tensor, radius: int) -> Tensor:
    """y = Σ_{a,b} w_a w_b x[i + a, j + b],  w_a ∝ exp(−a² / 2σ²) for |a| ≤ radius, the image mirrored at its edge.

    Args:
        std: (batch,) σ > 0 in pixels.
        radius: where the weights are cut, below the image's sides.

    Shapes: (batch, channels, height, width) → the same, in channels-last memory.
    """
    batch, channels, height, width = x.shape
    place = torch.arange(-radius, radius + 1, device=x.device)
    weights = torch.softmax(-(place / std[:, None]).square() / 2, 1).to(x.dtype)[:, None, None]  # (batch, 1, 1, taps)
    y = padded(x.permute(0, 2, 3, 1), radius, 1)
    # a row of all channels is one plane of width · channels, in which neighbours are `channels` apart
    y = F.conv2d(y.reshape(1, batch, height + 2 * radius, -1), weights.transpose(2, 3), groups=batch)
    y = padded(y.view(batch, height, width, channels), radius, 2)
    y = F.conv2d(y.view(1, batch, height, -1), weights, groups=batch, dilation=(1, channels))
    return y.view(batch, height, width, channels).permute(0, 3, 1, 2).clamp_(0, 1)


def padded(y: Tensor, radius: int, dim: int) -> Tensor:
    """`radius` places more at either end of a side, mirrored at the middle of its first and last pixel."""
    before, after = y.narrow(dim, 1, radius), y.narrow(dim, y.shape[dim] - 1 - radius, radius)
    return torch.cat([before.flip(dim), y, after.flip(dim)], dim)
