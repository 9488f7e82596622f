"""A multilayer perceptron that is told how noisy its input is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.layers.ends import Standardise, only_input
from thetastar.protocols import Model, Schema
from thetastar.registry import Count

__all__ = ["denoiser"]


class denoiser(Model):
    """Residual perceptron h ← h + W₂ φ(W₁ h + U e(s)), φ = SiLU, told the noise level s; it returns its input's shape.

    e(s) = (sin ω_i s, cos ω_i s)_i with ω_i from 1,000 down to 0.1 geometrically. Without a level the input counts as
    clean, so `features` also serves whoever knows nothing of noise.

    Args:
        schema: any input of one tensor (images are flattened).
        width: units of each layer.
        depth: residual blocks.
        frequencies: i of the level's embedding.

    Shapes: (batch, …), level (batch,) in [0, 1] → (batch, …), in standard deviations of the training split.

    Source: Ho, Jain and Abbeel 2020, Denoising diffusion probabilistic models (the conditioning); He, Zhang, Ren and
    Sun 2016, Deep residual learning for image recognition (the blocks).
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "diffusion"}

    def __init__(self, schema: Schema, *, width: Count = 128, depth: Count = 3, frequencies: Count = 32) -> None:
        super().__init__()
        field = only_input(schema, "denoiser")
        size = math.prod(field.shape)
        self.standardise = Standardise(field)
        self.stem = nn.Linear(size, width)
        self.level = Level(frequencies)
        self.blocks = nn.ModuleList(Block(width, 2 * frequencies) for _ in range(depth))
        self.width = width
        self.head = nn.Sequential(nn.Linear(width, size), nn.Unflatten(1, field.shape))

    @classmethod
    def example(cls) -> dict[str, Any]:
        method = {"name": "diffusion", "steps": 20}
        return {"data": "moons", "model": {"name": "denoiser", "width": 32, "depth": 2}, "method": method}

    def features(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        h = self.stem(self.standardise(x).flatten(1))
        told = self.level(torch.zeros(len(x), device=x.device) if level is None else level)
        for block in self.blocks:
            h = block(h, told)
        return F.silu(h)

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, level))


class Level(nn.Module):
    """s ↦ (sin ω_i s, cos ω_i s)_i.

    Shapes: (batch,) → (batch, 2 · frequencies).
    """

    frequency: Tensor

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        self.register_buffer("frequency", torch.logspace(3, -1, frequencies), persistent=False)

    def forward(self, level: Tensor) -> Tensor:
        angle = level[:, None].float() * self.frequency
        return torch.cat([angle.sin(), angle.cos()], -1)


class Block(nn.Module):
    """h ↦ h + W₂ φ(W₁ h + U e).

    Shapes: (batch, width), (batch, told) → (batch, width).
    """

    def __init__(self, width: int, told: int) -> None:
        super().__init__()
        self.first, self.told, self.second = nn.Linear(width, width), nn.Linear(told, width), nn.Linear(width, width)

    def forward(self, h: Tensor, told: Tensor) -> Tensor:
        return h + self.second(F.silu(self.first(h) + self.told(told)))
