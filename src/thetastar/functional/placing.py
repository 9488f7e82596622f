"""Moving whole pixels: every example by its own rows and columns, in one gather."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.pictures import kept


def placed(x: Tensor, rows: Tensor, columns: Tensor, beyond: int = 0) -> Tensor:
    """y[n, c, i, j] = x[n, c, rows[n, i], columns[n, j]], and `beyond` where either is negative.

    Shapes: x (batch, channels, height, width), rows (batch, height), columns (batch, width) → as x.
    """
    batch, channels, height, width = x.shape
    end = batch * height * width  # the pixel of what is beyond, behind the last one
    first = (torch.arange(batch, device=x.device)[:, None] * height + rows) * width
    first = first.masked_fill(rows < 0, end).int()  # (batch, height)
    then = columns.masked_fill(columns < 0, end).int()  # (batch, width)
    index = (first[:, :, None] + then[:, None, :]).clamp_(max=end).flatten()
    pixels = torch.cat([x.permute(0, 2, 3, 1).reshape(end, channels), x.new_full((1, channels), beyond)])
    if channels == 1:
        pixels = pixels.flatten()  # numbers are gathered several times faster than rows of one number
    return kept(pixels.index_select(0, index).view(batch, height, width, channels).permute(0, 3, 1, 2), x)


def moved(offset: Tensor, size: int, fill: str) -> Tensor:
    """(batch,) whole offsets → (batch, size) places i + offset; outside they are −1, the edge, or mirrored at it."""
    place = offset[:, None] + torch.arange(size, device=offset.device)
    if fill == "zero":
        return place.masked_fill((place < 0) | (place >= size), -1)
    if fill == "reflect":
        place = (size - 1) - ((size - 1) - place.abs()).abs()
    return place.clamp(0, size - 1)


def after(first: Tensor, second: Tensor) -> Tensor:
    """The places of two moves as one: `first` on the image, then `second` on what came out."""
    return first.gather(1, second.clamp_min(0)).masked_fill(second < 0, -1)
