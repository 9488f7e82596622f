"""Brightness, contrast, saturation and hue of images in [0, 1], every example by its own amount."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.pictures import each

BRIGHTNESS, CONTRAST, SATURATION = range(3)


def luma(x: Tensor) -> Tensor:
    """Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); the mean of channels that are not three.

    Shapes: (batch, channels, height, width) → (batch, 1, height, width).
    """
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    red, green, blue = x.split(1, 1)
    return (red * 0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def shares(what: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Of the image's mean luma and of each pixel's luma in `adjusted`: 1 − f for contrast, 1 − f for saturation."""
    rest = 1 - factor
    return rest * (what == CONTRAST), rest * (what == SATURATION)


def adjusted(x: Tensor, factor: Tensor, mean: Tensor, grey: Tensor) -> Tensor:
    """clip(f x + m Ȳ + g Y) with Y the luma: brightness is (f, 0, 0), contrast (f, 1 − f, 0), saturation (f, 0, 1 − f).

    Args:
        factor: (batch,) f ≥ 0; 1 leaves an example as it is.
        mean: (batch,) m.
        grey: (batch,) g.

    Source: Haeberli and Voorhies 1994, Image processing by interpolation and extrapolation.
    """
    y = luma(x)
    middle = y.mean((2, 3), keepdim=True).mul_(each(mean, x))
    return torch.addcmul((y * each(grey, x)).add_(middle), x, each(factor, x)).clamp_(0, 1)


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Hue + turn (a share of the circle), with value V = max and chroma C = max − min as they are.

    In sixths of the circle the hue is h = ±(1 + (G + B − R − min) / C), with the sign of G − B; and back, with d the
    distance of h + n on the circle to 0 and n = 3, 1, −1 for R, G, B, a channel is V − C clip(2 − d, 0, 1).

    Shapes: (batch, 3, height, width), turn (batch,) → the same; other numbers of channels have no hue and stay.

    Source: Smith 1978, Color gamut transform pairs.
    """
    if x.shape[1] != 3:
        return x
    red, green, blue = x.split(1, 1)
    low = torch.minimum(torch.minimum(red, green), blue)
    high = torch.maximum(torch.maximum(red, green), blue)
    chroma = high - low
    hue = (green + blue).sub_(red).sub_(low).div_(chroma.clamp_min(1e-6)).add_(1)  # of greys any, times a chroma of 0
    hue = torch.copysign(hue, green - blue).add_(each(turn, x), alpha=6)
    distance = hue + torch.arange(3, -2, -2, device=x.device).view(3, 1, 1)
    distance.sub_((distance / 6).round_(), alpha=6).abs_()  # at most 3
    return torch.addcmul(high.sub_(chroma, alpha=2), distance.clamp_(1, 2), chroma).clamp_(0, 1)
