"""Lightness and chroma: sRGB to CIE L*a*b* and back, and the chroma that sRGB can show, in bins."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

TO_XYZ = (  # linear sRGB to CIE XYZ, IEC 61966-2-1
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
KNEE = 6 / 29  # of the cube root, below which L*a*b* is linear
FINEST = 128  # values a channel that are tried for the gamut


@cache
def matrices(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Linear sRGB to XYZ over that of white, so that greys have no chroma; and its inverse."""
    made = torch.tensor(TO_XYZ, dtype=torch.float64)
    made = made / made.sum(1, keepdim=True)
    return made.to(device, dtype), torch.linalg.inv(made).to(device, dtype)


def mixed(weights: Tensor, x: Tensor) -> Tensor:
    """(…, 3, height, width) → the same, each of the three a weighted sum of all."""
    return (weights[:, :, None, None] * x.unsqueeze(-4)).sum(-3)  # no matrix product: autocast would round it


def lab(x: Tensor) -> Tensor:
    """L* = 116 f(Y) − 16, a* = 500 (f(X) − f(Y)), b* = 200 (f(Y) − f(Z)), f the cube root, XYZ over those of white.

    Shapes: (…, 3, height, width) in [0, 1] → the same, L* in [0, 100], a* and b* within ±110.

    Source: CIE 1976; ISO/CIE 11664-4.
    """
    linear = torch.where(x > 0.04045, ((x + 0.055) / 1.055).clamp_min(0) ** 2.4, x / 12.92)
    xyz = mixed(matrices(x.dtype, x.device)[0], linear)
    root = torch.where(xyz > KNEE**3, xyz.clamp_min(KNEE**3) ** (1 / 3), xyz / (3 * KNEE**2) + 4 / 29)
    x_, y, z = root.unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x_ - y), 200 * (y - z)], -3)


def srgb(x: Tensor) -> Tensor:
    """The inverse of `lab`; colours that sRGB cannot show are clipped to [0, 1].

    Shapes: (…, 3, height, width) → the same.
    """
    lightness, a, b = x.unbind(-3)
    y = (lightness + 16) / 116
    root = torch.stack([y + a / 500, y, y - b / 200], -3)
    xyz = torch.where(root > KNEE, root**3, 3 * KNEE**2 * (root - 4 / 29))
    linear = mixed(matrices(x.dtype, x.device)[1], xyz).clamp(0, 1)
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear)


@cache
def gamut(step: int) -> Tensor:
    """(bins, 2) multiples (a*, b*) of `step` that are nearest to some colour of sRGB.

    The faces of the cube are enough: through every colour inside, a line of its chroma leads to a face.
    """
    side = torch.linspace(0, 1, FINEST, dtype=torch.float64)
    one, other = torch.cartesian_prod(side, side).T
    faces = [torch.stack([one, other, torch.full_like(one, end)]).roll(turn, 0) for end in (0, 1) for turn in range(3)]
    chroma = lab(torch.cat(faces, 1)[..., None])[1:, :, 0].T  # (colours, 2)
    return (torch.unique((chroma / step).round().long(), dim=0) * step).float()
