"""Adadelta: steps in the units of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from thetastar.algorithms.descent import Descent
from thetastar.registry import BelowOne, NonNegative, Positive

__all__ = ["adadelta"]


@dataclass(kw_only=True, eq=False)
class adadelta(Descent):
    """g ← g + λθ;  s ← ρs + (1−ρ)g²;  Δ = g √(u+ε) / √(s+ε);  u ← ρu + (1−ρ)Δ²;  θ ← θ − ηΔ.

    Args:
        rho: ρ in [0, 1), how slowly both averages forget.
        eps: ε > 0; it sets the size of the first steps.
        weight_decay: λ ≥ 0, on matrices and kernels only.

    Source: Zeiler 2012, Adadelta: an adaptive learning rate method.
    """

    lr: Positive = 1.0
    rho: BelowOne = 0.9
    eps: Positive = 1e-6
    weight_decay: NonNegative = 0.0

    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        return torch.optim.Adadelta(groups, lr=self.lr, rho=self.rho, eps=self.eps, weight_decay=self.weight_decay)
