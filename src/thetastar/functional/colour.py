"""Brightness, contrast, saturation and hue of images in [0, 1], every example by its own amount."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.pictures import each

BRIGHTNESS, CONTRAST, SATURATION = range(3)
SECTORS = ((3, 1, -1), (2, -1, 2), (4, -1, 2))  # of red, green and blue: centre, sign and offset in `turned`


def luma(x: Tensor) -> Tensor:
    """Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); the mean of channels that are not three.

    Shapes: (batch, channels, height, width) → (batch, 1, height, width).
    """
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    red, green, blue = x.split(1, 1)
    return (red * 0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def adjusted(x: Tensor, what: Tensor, factor: Tensor) -> Tensor:
    """clip(f x + (1 − f) g), where g is 0 for brightness, the image's mean luma for contrast, Y for saturation.

    Args:
        what: (batch,) BRIGHTNESS, CONTRAST or SATURATION.
        factor: (batch,) f ≥ 0; 1 leaves an example as it is.

    Source: Haeberli and Voorhies 1994, Image processing by interpolation and extrapolation.
    """
    f = each(factor, x)
    grey = luma(x)
    mean = grey.mean((2, 3), keepdim=True)
    other = grey * ((1 - f) * each(what == SATURATION, x)) + mean * ((1 - f) * each(what == CONTRAST, x))
    return torch.addcmul(other, x, f).clamp_(0, 1)


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Hue + turn (a share of the circle), with value V = max and chroma C = max − min as they are.

    The hue in sixths of the circle is h = ±(1 + (G + B − R − min) / C), with the sign of G − B; and back,
    R = min + C clip(|h − 3| − 1), G = min + C clip(2 − |h − 2|), B = min + C clip(2 − |h − 4|).

    Shapes: (batch, 3, height, width), turn (batch,) → the same; other numbers of channels have no hue and stay.

    Source: Smith 1978, Color gamut transform pairs.
    """
    if x.shape[1] != 3:
        return x
    red, green, blue = x.split(1, 1)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = torch.maximum(torch.maximum(red, green), blue).sub_(low)
    hue = (green + blue).sub_(red).sub_(low).div_(chroma.clamp_min(1e-6)).add_(1)  # greys: any, times a chroma of 0
    hue = torch.copysign(hue, green - blue).add_(each(turn, x), alpha=6)
    hue.sub_((hue / 6).floor_(), alpha=6)  # in [0, 6)
    parts = [(hue - centre).abs_().mul_(sign).add_(offset) for centre, sign, offset in SECTORS]
    return torch.cat(parts, 1).clamp_(0, 1).mul_(chroma).add_(low).clamp_(0, 1)
