"""Adam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from thetastar.algorithms.descent import Descent
from thetastar.registry import BelowOne, NonNegative, Positive

__all__ = ["adam"]


@dataclass(kw_only=True, eq=False)
class adam(Descent):
    """g ← g + λθ;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  θ ← θ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ).

    The decay is a penalty in the gradient, so it is rescaled with it; `adamw` decouples the two.

    Args:
        betas: β₁, β₂ in [0, 1).
        eps: ε > 0.
        weight_decay: λ ≥ 0, on matrices and kernels only.

    Source: Kingma and Ba 2015, Adam: a method for stochastic optimization.
    """

    lr: Positive = 1e-3
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0

    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            groups, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, fused=fused
        )
