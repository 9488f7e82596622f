"""Random brightness, contrast, saturation and hue."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from thetastar.functional.colour import adjusted, turned
from thetastar.functional.pictures import Draws, kept, of_images, on_some, planar, uniform
from thetastar.protocols import Augment
from thetastar.registry import NonNegative

__all__ = ["colour"]


class colour(Augment):
    """Brightness, contrast and saturation x ↦ clip(f x + (1 − f) g) and hue h ↦ h + δ, in a random order.

    Each factor f is uniform on [max(0, 1 − amount), 1 + amount]; g is 0 for brightness, the image's mean luma for
    contrast and the pixel's luma for saturation. An amount of 0 leaves its change out.

    Args:
        brightness: amount, ≥ 0.
        contrast: amount, ≥ 0.
        saturation: amount, ≥ 0.
        hue: largest turn δ to either side, as a share of the colour circle, in [0, 1/2].

    Shapes: (batch, channels, height, width) → the same; saturation and hue leave a single channel as it is.

    Source: Howard 2013, Some improvements on deep convolutional neural network based image classification; amounts of
    Chen, Kornblith, Norouzi and Hinton 2020, A simple framework for contrastive learning of visual representations.
    """

    def __init__(
        self,
        *,
        brightness: NonNegative = 0.4,
        contrast: NonNegative = 0.4,
        saturation: NonNegative = 0.4,
        hue: Annotated[float, Ge(0), Le(0.5)] = 0.1,
    ) -> None:
        self.amounts, self.hue = (brightness, contrast, saturation), hue

    def __call__(self, x: Tensor, generator: Draws = None) -> Tensor:
        y = planar(of_images(x, "colour"))
        used = [kind for kind, amount in enumerate(self.amounts) if amount]
        factors = [uniform(x, max(0.0, 1 - self.amounts[kind]), 1 + self.amounts[kind], generator) for kind in used]
        order = uniform(x, 0.0, 1.0, generator, (len(used),)).argsort(1)  # (batch, used), each example its own
        turn = uniform(x, -self.hue, self.hue, generator)
        # hue comes with equal chances before any of the others or last, so every order of all is as likely
        moment = torch.randint(len(used) + 1, (len(x),), generator=generator, device=x.device)
        for place in range(len(used) + 1):
            if self.hue and x.shape[1] == 3:
                y = on_some(y, moment == place, turned, turn)
            if place < len(used):
                now = order[:, place]
                factor = torch.stack(factors, 1).gather(1, now[:, None]).squeeze(1)
                what = sum((kind * (now == number) for number, kind in enumerate(used)), torch.zeros_like(now))
                y = adjusted(y, what, factor)
        return kept(y, x)
