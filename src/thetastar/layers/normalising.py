"""Normalisation by name: what stands between a layer and its activation, or after it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.normalising import local_response

Norm = Literal["batch", "layer", "group"]


class LocalResponse(nn.Module):
    """`local_response` over channels; nothing is learnt."""

    def forward(self, x: Tensor) -> Tensor:
        return local_response(x)


def normaliser(kind: Norm, units: int, groups: int, *, image: bool = False) -> nn.Module:
    """y = γ (x − μ) / √(σ² + ε) + β with a γ and a β for each unit or channel, ε = 1e-5.

    "batch" takes μ and σ² over the batch (and the places of an image) in training, and running averages of them
    afterwards; "layer" over the units (and places) of each example alone; "group" so for each of `groups` equal parts.

    Shapes: (batch, units) or (batch, units, height, width) → the same.

    Source: Ioffe and Szegedy 2015, Batch normalization; Ba, Kiros and Hinton 2016, Layer normalization; Wu and He 2018,
    Group normalization.
    """
    if kind == "batch":
        return nn.BatchNorm2d(units) if image else nn.BatchNorm1d(units)
    if kind == "layer":
        return nn.GroupNorm(1, units) if image else nn.LayerNorm(units)
    if units % groups or (units == groups and not image):  # a single number less itself is 0
        raise UserError(
            f"{units} {'channels' if image else 'units'} in {groups} groups",
            "groups of equal size in every layer" + ("" if image else ", of two units or more"),
            "set model.groups to a divisor of every width, or model.norm=layer",
        )
    return nn.GroupNorm(groups, units)
