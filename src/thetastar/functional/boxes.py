"""Random rectangles within images."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from thetastar.functional.pictures import Draws, uniform

TRIES = 10


class Boxes(NamedTuple):
    """Whole pixels, each (batch,)."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def boxes(x: Tensor, least: float, most: float, aspect: float, generator: Draws) -> Boxes:
    """Rectangles of a share of the area uniform on [least, most] and width / height log-uniform on [1/aspect, aspect].

    Of ten drawn shapes the first that fits into the image is taken, at a place uniform among those where it fits; where
    none does, the first is cut to the image.

    Source: Szegedy et al. 2015, Going deeper with convolutions; Zhong et al. 2020, Random erasing data augmentation.
    """
    height, width = x.shape[2:]
    area = uniform(x, least, most, generator, (TRIES,)) * (height * width)
    ratio = uniform(x, -math.log(aspect), math.log(aspect), generator, (TRIES,)).exp_()
    high, wide = (area / ratio).sqrt_().round_(), (area * ratio).sqrt_().round_()  # (batch, tries)
    fits = (high >= 1) & (high <= height) & (wide >= 1) & (wide <= width)
    first = fits.byte().argmax(1, keepdim=True)
    h = high.gather(1, first).squeeze(1).clamp_(1, height)
    w = wide.gather(1, first).squeeze(1).clamp_(1, width)
    place = uniform(x, 0.0, 1.0, generator, (2,))
    return Boxes((place[:, 0] * (height - h + 1)).floor_(), (place[:, 1] * (width - w + 1)).floor_(), h, w)


def within(x: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """(batch, 1, height, width), True inside the rectangles."""
    rows = torch.arange(x.shape[2], device=x.device)
    columns = torch.arange(x.shape[3], device=x.device)
    down = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    across = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    return (down[:, :, None] & across[:, None, :])[:, None]
