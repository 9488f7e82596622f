"""Random brightness, contrast, saturation and hue."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from thetastar.functional.colour import adjusted, shares, turned
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
        adjustments = self.adjustments(x, generator)
        turn = uniform(x, -self.hue, self.hue, generator)
        # hue comes with equal chances before any of the others or last, so every order of all is as likely
        moment = torch.randint(len(adjustments) + 1, (len(x),), generator=generator, device=x.device)
        for place, adjustment in enumerate([*adjustments, ()]):
            if self.hue:
                y = on_some(y, moment == place, turned, turn)
            if adjustment:
                y = adjusted(y, *adjustment)
        return kept(y, x)

    def adjustments(self, x: Tensor, generator: Draws) -> list[tuple[Tensor, ...]]:
        """Brightness, contrast and saturation in an order of each example's own: one after the other for `adjusted`."""
        used = [(kind, amount) for kind, amount in enumerate(self.amounts) if amount]
        if not used:
            return []
        factors = [uniform(x, max(0.0, 1 - amount), 1 + amount, generator) for _, amount in used]
        order = uniform(x, 0.0, 1.0, generator, (len(used),)).argsort(1)  # (batch, used)
        factor = torch.stack(factors, 1).gather(1, order)
        what = torch.stack([torch.full_like(order[:, 0], kind) for kind, _ in used], 1).gather(1, order)
        mean, grey = shares(what, factor)
        return list(zip(factor.unbind(1), mean.unbind(1), grey.unbind(1), strict=True))
