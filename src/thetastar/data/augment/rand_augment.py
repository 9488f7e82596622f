"""RandAugment: a few random changes of one magnitude."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from thetastar.functional.colour import adjusted, shares
from thetastar.functional.pictures import Draws, kept, of_images, on_some, planar
from thetastar.functional.tones import equalised, posterised, sharpened, solarised, stretched
from thetastar.functional.warping import mapping, warp, warp_mask
from thetastar.protocols import Augment
from thetastar.registry import Count

__all__ = ["rand_augment"]

KINDS = (
    *("rotate", "shear_x", "shear_y", "translate_x", "translate_y"),  # one resampling
    *("brightness", "contrast", "saturation"),  # in the order of functional.colour
    *("sharpness", "solarise", "posterise", "autocontrast", "equalise", "identity"),
)
KIND = {name: number for number, name in enumerate(KINDS)}
TRANSLATION = 150 / 331  # of the side at magnitude 30: 150 pixels of the paper's largest images


class rand_augment(Augment):
    """x ↦ T_n(… T₁(x)), each T uniform on 14 changes of one magnitude a = m / 30; every example draws its own.

    Rotation by ± 30 a degrees; shear along either axis by ± 0.3 a; translation along either axis by ± 150/331 a of the
    side; brightness, contrast, saturation and sharpness by factors 1 ± 0.9 a; solarise above 1 − a; posterise to
    8 − 4 a bits, rounded; autocontrast, equalise and identity without magnitude. Signs are drawn with equal chances.

    Args:
        n: changes of each example, one after the other.
        m: their magnitude, in [0, 30].

    Shapes: (batch, channels, height, width) → the same.

    Source: Cubuk, Zoph, Shlens and Le 2020, RandAugment: practical automated data augmentation with a reduced search
    space; ranges of its supplement on 31 levels.
    """

    def __init__(self, *, n: Count = 2, m: Annotated[float, Ge(0), Le(30)] = 9.0) -> None:
        self.n, self.m = n, m

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        y = planar(of_images(x, "rand_augment"))
        for _ in range(self.n):
            y = self.changed(y, *self.drawn(x, generator))
        return kept(y, x)

    def together(self, x: Tensor, mask: Tensor, generator: Draws = None) -> tuple[Tensor, Tensor]:
        y = planar(of_images(x, "rand_augment"))
        for _ in range(self.n):
            kind, sign = self.drawn(x, generator)
            mask = warp_mask(mask, self.matrix(y, kind, sign * (self.m / 30)))  # as it is where nothing moves
            y = self.changed(y, kind, sign)
        return kept(y, x), mask

    def drawn(self, x: Tensor, generator: Draws) -> tuple[Tensor, Tensor]:
        """(batch,) each: a number in KINDS, and ± 1."""
        kind = torch.randint(len(KINDS), (len(x),), generator=generator, device=x.device)
        sign = torch.randint(2, (len(x),), generator=generator, device=x.device).mul_(2).sub_(1)
        return kind, sign.float()

    def changed(self, x: Tensor, kind: Tensor, sign: Tensor) -> Tensor:
        """Each example by the change of its own `kind` (batch,), a number in KINDS, with its sign (batch,) ± 1."""
        amount = self.m / 30
        factor = 1 + 0.9 * amount * sign
        level = torch.full_like(sign, 1 - amount)
        bits = torch.full_like(sign, 8 - round(4 * amount))
        x = on_some(x, kind <= KIND["translate_y"], warp, self.matrix(x, kind, sign * amount))
        of_colour = (kind >= KIND["brightness"]) & (kind <= KIND["saturation"])
        x = on_some(x, of_colour, adjusted, factor, *shares(kind - KIND["brightness"], factor))
        x = on_some(x, kind == KIND["sharpness"], sharpened, factor)
        x = on_some(x, kind == KIND["solarise"], solarised, level)
        x = on_some(x, kind == KIND["posterise"], posterised, bits)
        x = on_some(x, kind == KIND["autocontrast"], stretched)
        return on_some(x, kind == KIND["equalise"], equalised)

    def matrix(self, x: Tensor, kind: Tensor, amount: Tensor) -> Tensor:
        """(batch, 2, 3) of the geometric kinds."""
        height, width = x.shape[2:]
        mine = kind[:, None] == torch.arange(5, device=x.device)  # in the order of KINDS
        angle, shear, lean, right, down = (mine * amount[:, None]).unbind(1)
        right, down = right * (TRANSLATION * width), down * (TRANSLATION * height)
        return mapping(angle * math.radians(30), right, down, torch.ones_like(angle), shear * 0.3, lean * 0.3)
