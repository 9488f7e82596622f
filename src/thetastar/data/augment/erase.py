"""Random erasing."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.boxes import boxes, within
from thetastar.functional.pictures import Draws, chosen, of_images
from thetastar.protocols import Augment
from thetastar.registry import Fraction

__all__ = ["erase"]


class erase(Augment):
    """x ↦ the fill inside a rectangle, x outside, with probability p.

    The rectangle's area is a share uniform on [least, most] of the image's, its width / height log-uniform on
    [1/aspect, aspect], its place uniform; of ten drawn shapes the first that fits is taken.

    Args:
        p: probability of an example with a part erased, in [0, 1].
        least: smallest share of the area, in [0, 1].
        most: largest share of the area, in [0, 1].
        aspect: largest width / height and height / width, ≥ 1.
        fill: zeros, or values uniform on the 256 levels of [0, 1].

    Shapes: (batch, channels, height, width) → the same.

    Source: Zhong, Zheng, Kang, Li and Yang 2020, Random erasing data augmentation.
    """

    def __init__(
        self,
        *,
        p: Fraction = 0.5,
        least: Fraction = 0.02,
        most: Fraction = 0.4,
        aspect: Annotated[float, Ge(1)] = 10 / 3,
        fill: Literal["zero", "noise"] = "noise",
    ) -> None:
        if least > most:
            raise UserError(f"erase.least={least:g}", f"at most {most:g}, the largest share", "lower least")
        self.p, self.least, self.most, self.aspect, self.fill = p, least, most, aspect, fill

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        which = chosen(of_images(x, "erase"), self.p, generator)
        inside = within(x, *boxes(x, self.least, self.most, self.aspect, generator)) & which.view(-1, 1, 1, 1)
        if self.fill == "zero":
            return x * ~inside
        return torch.lerp(x, bytes_like(x, generator), inside.to(x.dtype))


def bytes_like(x: Tensor, generator: Draws) -> Tensor:
    """Uniform on the 256 levels of [0, 1], in the shape of `x`: eight numbers of every draw of 64 bits."""
    batch, channels, height, width = x.shape
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(
        -(2**63), None, generator=generator
    )
    levels = words.view(torch.uint8)[: x.numel()].view(batch, height, width, channels).permute(0, 3, 1, 2)
    return levels.to(x.dtype) / 255
