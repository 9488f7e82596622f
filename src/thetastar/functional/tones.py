"""Changes of tone of images in [0, 1]: each value by a rule of its example, its channel or its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.pictures import each

LEVELS = 256


def inverted(x: Tensor) -> Tensor:
    """1 − x."""
    return 1 - x


def solarised(x: Tensor, threshold: Tensor) -> Tensor:
    """1 − x where x ≥ t, else x; threshold (batch,)."""
    above = (x >= each(threshold, x)).to(x.dtype)
    return above.mul_(1 - 2 * x).add_(x)


def posterised(x: Tensor, bits: Tensor) -> Tensor:
    """The first `bits` of the 8 bits of every value; bits (batch,) in 0 … 8."""
    step = each(torch.exp2(8 - bits), x)
    return (x * 255).round_().div_(step).floor_().mul_(step / 255)


def stretched(x: Tensor) -> Tensor:
    """(x − min) / (max − min) over each channel of each example; a channel of one value stays."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat = high <= low
    return ((x - low.masked_fill(flat, 0)) / (high - low).masked_fill(flat, 1)).clamp_(0, 1)


def equalised(x: Tensor) -> Tensor:
    """Each channel's 256 levels spread so that all are about equally frequent.

    With counts n_k, K the highest level that occurs and s = ⌊(Σ n − n_K) / 255⌋, level k becomes
    ⌊(⌊s/2⌋ + Σ_{j<k} n_j) / s⌋; if s is 0 the levels stay.

    Source: Gonzalez and Woods 1992, Digital image processing, section 4.2, rounded as in the Python Imaging Library.
    """
    level = (x.flatten(2) * 255).round_().to(torch.int64)  # (batch, channels, height · width)
    one = torch.ones((), device=x.device)  # counts in float32, which are exact and added up faster
    counts = one.new_zeros(*x.shape[:2], LEVELS).scatter_add_(2, level, one.expand(level.shape))
    last = counts.gather(2, level.amax(2, keepdim=True))
    step = ((level.shape[2] - last) / 255).floor_()
    spread = counts.cumsum(2).sub_(counts).add_((step / 2).floor_()).div_(step.clamp_min(1)).floor_().clamp_(max=255)
    table = torch.where(step > 0, spread, torch.arange(LEVELS, device=x.device, dtype=spread.dtype))
    return (table / 255).to(x.dtype).gather(2, level).view(x.shape)


def sharpened(x: Tensor, factor: Tensor) -> Tensor:
    """clip(f x + (1 − f) s), s the mean of 3 × 3 pixels with weight 5 in the middle; the outermost pixels stay.

    Args:
        factor: (batch,) f ≥ 0: 0 smooths, 1 leaves an example as it is, more sharpens.

    Source: Haeberli and Voorhies 1994, Image processing by interpolation and extrapolation.
    """
    y = x.clone()
    if min(x.shape[2:]) < 3:
        return y
    three = x[:, :, 1:-1] + x[:, :, :-2] + x[:, :, 2:]
    middle = x[:, :, 1:-1, 1:-1]
    smooth = (three[..., 1:-1] + three[..., :-2]).add_(three[..., 2:]).add_(middle, alpha=4).div_(13)
    y[:, :, 1:-1, 1:-1] = (middle - smooth).mul_(each(factor, x)).add_(smooth).clamp_(0, 1)
    return y
