"""Patches of images: cut at places of their own, and images as rows of patches and back."""

from __future__ import annotations

import torch
from torch import Tensor


def cut(x: Tensor, corners: Tensor, side: int) -> Tensor:
    """x[n, :, top : top + side, left : left + side] for every (top, left) of every image n.

    Shapes: (batch, channels, height, width), corners (batch, patches, 2) → (batch, patches, channels, side, side).
    """
    place = torch.arange(side, device=x.device)
    top, left = corners[..., None].unbind(2)  # (batch, patches, 1)
    rows, columns = (top + place)[..., :, None], (left + place)[..., None, :]
    image = torch.arange(len(x), device=x.device).view(-1, 1, 1, 1)
    return x[image, :, rows, columns].movedim(-1, 2)  # indexing leaves the channels last


def rows_of_patches(x: Tensor, side: int) -> Tensor:
    """An image as its patches row by row, each as its pixels row by row, the channels of a pixel together.

    Shapes: (batch, channels, height, width) → (batch, patches, side · side · channels).
    """
    batch, channels, height, width = x.shape
    tiled = x.reshape(batch, channels, height // side, side, width // side, side)
    return tiled.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, side * side * channels)


def from_patches(patches: Tensor, side: int, grid: tuple[int, int]) -> Tensor:
    """The inverse of `rows_of_patches`.

    Args:
        grid: patches down and across.

    Shapes: (batch, patches, side · side · channels) → (batch, channels, height, width).
    """
    down, across = grid
    tiled = patches.reshape(len(patches), down, across, side, side, -1)
    return tiled.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), -1, down * side, across * side)
