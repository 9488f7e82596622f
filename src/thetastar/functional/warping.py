"""Affine maps of images: every example by its own matrix, resampled once.

A matrix (2, 3) takes a place of the new image to a place of the old one, u = A u′ + t, in pixels from the centre, the
first coordinate to the right and the second downwards.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.functional.masks import VOID
from thetastar.functional.pictures import kept


def mapping(
    angle: Tensor, right: Tensor, down: Tensor, zoom: Tensor, shear: Tensor | None = None, lean: Tensor | None = None
) -> Tensor:
    """The inverse of u ↦ zoom · R K u + (right, down),  R = [[cos, sin], [−sin, cos]],  K = [[1, shear], [lean, 1]].

    Args:
        angle: in radians, anticlockwise as one sees it.
        right, down: in pixels.
        zoom: above 1 makes things larger.
        shear, lean: tangents of the shears along rows and along columns; 0 if None. Their product must not be 1.

    Shapes: each (batch,) → (batch, 2, 3).
    """
    cos, sin = angle.cos(), angle.sin()
    a = torch.zeros_like(angle) if shear is None else shear
    b = torch.zeros_like(angle) if lean is None else lean
    over = 1 / (zoom * (1 - a * b))
    xx, xy = over * (cos - a * sin), -over * (sin + a * cos)  # K⁻¹ R⁻¹, R⁻¹ = [[cos, −sin], [sin, cos]]
    yx, yy = over * (sin - b * cos), over * (cos + b * sin)
    rows = (xx, xy, -(xx * right + xy * down), yx, yy, -(yx * right + yy * down))
    return torch.stack(rows, 1).view(-1, 2, 3)


def chained(first: Tensor, second: Tensor) -> Tensor:
    """The matrix of two maps as one: `first` on the image, then `second` on what came out. (batch, 2, 3) each."""
    both = first[:, :, :2] @ second
    return torch.cat([both[:, :, :2], both[:, :, 2:] + first[:, :, 2:]], 2)


def warp(x: Tensor, matrix: Tensor, fill: str = "zero") -> Tensor:
    """y(u′) = x(A u′ + t), bilinear between pixels; beyond the image zeros, or its edge.

    Shapes: x (batch, channels, height, width), matrix (batch, 2, 3) → as x.
    """
    grid = _grid(x, matrix)
    y = F.grid_sample(x.contiguous(), grid.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    if fill == "zero":
        # the outermost half pixel shows the edge, as everywhere in the image: it does not fade into what is beyond
        y.mul_(_inside(grid)[:, None])
    return kept(y.clamp_(0, 1), x)


def windows(x: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Several small images out of each: y[n, k](u′) = x[n](A u′ + t) with the k-th matrix of the n-th example.

    Shapes: x (batch, channels, height, width), matrices (batch, windows, 2, 3) → (batch, windows, channels, *size).
    """
    batch, count = matrices.shape[:2]
    grid = _grid(x, matrices.flatten(0, 1), size).permute(0, 2, 3, 1)  # (batch · windows, height, width, 2)
    # below one another in one image, so that nothing of x is repeated
    grid = grid.reshape(batch, count * size[0], size[1], 2)
    y = F.grid_sample(x.contiguous(), grid, padding_mode="border", align_corners=False).clamp_(0, 1)
    return y.view(batch, x.shape[1], count, *size).transpose(1, 2).contiguous()


def warp_mask(mask: Tensor, matrix: Tensor, fill: str = "zero") -> Tensor:
    """The mask of `warp` on its image: the nearest pixel's class; void where the image is filled with zeros.

    Shapes: mask (batch, height, width), matrix (batch, 2, 3) → as the mask.
    """
    x = mask[:, None].float()  # holds every class exactly
    grid = _grid(x, matrix)
    places = grid.permute(0, 2, 3, 1)
    y = F.grid_sample(x, places, mode="nearest", padding_mode="border", align_corners=False)[:, 0].to(mask.dtype)
    return y.where(_inside(grid), VOID) if fill == "zero" else y


def _grid(x: Tensor, matrix: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Places of x in [−1, 1]² for every pixel of the new image (of `size`, or as x): (batch, 2, height, width)."""
    height, width = x.shape[2:]
    matrix = torch.stack([matrix[:, 0] * (2 / width), matrix[:, 1] * (2 / height)], 1).to(x.dtype)  # to [−1, 1]²
    height, width = size or (height, width)
    across = torch.arange(width, device=x.device, dtype=x.dtype) - (width - 1) / 2
    along = torch.arange(height, device=x.device, dtype=x.dtype) - (height - 1) / 2
    columns = matrix[:, :, 0, None] * across  # (batch, 2, width)
    rows = matrix[:, :, 1, None] * along + matrix[:, :, 2, None]  # (batch, 2, height)
    return rows[:, :, :, None] + columns[:, :, None, :]


def _inside(grid: Tensor) -> Tensor:
    return torch.maximum(grid[:, 0].abs(), grid[:, 1].abs()) <= 1
