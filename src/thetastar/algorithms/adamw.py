"""Adam with decoupled weight decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from thetastar.algorithms.descent import Descent
from thetastar.registry import BelowOne, NonNegative, Positive

__all__ = ["adamw"]


@dataclass(kw_only=True, eq=False)
class adamw(Descent):
    """m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  θ ← θ − η (m̂ / (√v̂ + ε) + λ θ),  m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ).

    Args:
        betas: β₁, β₂ in [0, 1).
        eps: ε > 0.
        weight_decay: λ ≥ 0, on matrices and kernels only.

    Source: Kingma and Ba 2015, Adam; Loshchilov and Hutter 2019, Decoupled weight decay regularization.
    """

    lr: Positive = 1e-3
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01
    decoupled: ClassVar[bool] = True

    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            groups, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, fused=fused
        )
