"""The training split's moments of a field, in the shape that its examples broadcast with."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.protocols import Field


def moments(field: Field) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel or entry; 0 and 1 where the field has none, 1 where it is constant.

    Shapes: (channels, 1, 1) for images, (entries,) or (1,) otherwise.
    """
    shape = (-1, 1, 1) if field.kind == "image" else (-1,)
    mean = torch.tensor(field.mean or (0.0,), dtype=torch.float32)
    std = torch.tensor(field.std or (1.0,), dtype=torch.float32)
    return mean.view(shape), torch.where(varies(mean, std), std, torch.ones_like(std)).view(shape)


def varies(mean: Tensor, std: Tensor) -> Tensor:
    """Whether an entry is not constant, in whatever unit: it deviates by more than what float32 rounds its mean by."""
    return std > (1e-7 * mean.abs()).clamp_min(1e-30)
