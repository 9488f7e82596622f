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

    Shapes: (batch, channels, height, width) → the same.
    """
    batch, channels, height, width = x.shape
    place = torch.arange(-radius, radius + 1, device=x.device)
    weights = torch.softmax(-(place / std[:, None]).square() / 2, 1).to(x.dtype)  # (batch, taps)
    weights = weights.repeat_interleave(channels, 0)[:, None, None]  # (batch · channels, 1, 1, taps)
    y = x.reshape(1, -1, height, width)
    y = F.conv2d(F.pad(y, (radius, radius, 0, 0), mode="reflect"), weights, groups=batch * channels)
    y = F.conv2d(F.pad(y, (0, 0, radius, radius), mode="reflect"), weights.transpose(2, 3), groups=batch * channels)
    return y.view(x.shape).clamp_(0, 1)
