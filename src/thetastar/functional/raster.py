"""Images as sequences: row by row, pixel by pixel, channel by channel, in a few levels of brightness."""

from __future__ import annotations

import torch
from torch import Tensor


def digitised(x: Tensor, levels: int) -> Tensor:
    """The nearest of `levels` even steps from 0 to 1, by number; bytes keep all that they say in 256 levels.

    Shapes: (…) in [0, 1] → (…) whole numbers in [0, levels).
    """
    return (x.float() * (levels - 1)).round().long().clamp(0, levels - 1)


def intensities(codes: Tensor, levels: int) -> Tensor:
    """The inverse: k ↦ k / (levels − 1), (…) in [0, 1]."""
    return codes.float() / (levels - 1)


def raster_mask(groups: Tensor, inputs: Tensor, up: int, left: int, right: int, own: bool) -> Tensor:
    """True where a convolution may look when it must not see what follows in raster order.

    All of the rows above, the pixels to the left, and of the pixel itself the features of earlier channels; with `own`
    also those of the same channel, which must then not contain that channel's value: mask B, without it mask A.

    Args:
        groups, inputs: the image channel that an output, an input of the convolution belongs to.
        up, left, right: how far the kernel reaches beyond the pixel, its last row and its column left + 1.
        own: mask B.

    Shapes: (outputs,), (inputs,) → (outputs, inputs, up + 1, left + 1 + right).

    Source: van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks, section 3.4.
    """
    mask = torch.ones(len(groups), len(inputs), up + 1, left + 1 + right, dtype=torch.bool)
    mask[:, :, up, left + 1 :] = False
    earlier = inputs[None, :] <= groups[:, None] if own else inputs[None, :] < groups[:, None]
    mask[:, :, up, left] = earlier
    return mask


def skewed(x: Tensor) -> Tensor:
    """Row i moved i places to the right, so that a column holds a diagonal; zeros fill the corners.

    Shapes: (batch, channels, height, width) → (batch, channels, height, width + height − 1).
    """
    batch, channels, height, width = x.shape
    wide = torch.cat([x, x.new_zeros(batch, channels, height, height)], -1).flatten(2)  # every row height longer,
    return wide[..., : height * (width + height - 1)].unflatten(2, (height, -1))  # and read as if one shorter


def straightened(x: Tensor, width: int) -> Tensor:
    """The inverse: (batch, channels, height, width + height − 1) → (batch, channels, height, width)."""
    batch, channels, height, _ = x.shape
    spare = torch.cat([x.flatten(2), x.new_zeros(batch, channels, height)], -1)
    return spare.unflatten(2, (height, -1))[..., :width]
