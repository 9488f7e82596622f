"""Adagrad: a step size of its own for every weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from thetastar.algorithms.descent import Descent
from thetastar.registry import NonNegative, Positive

__all__ = ["adagrad"]


@dataclass(kw_only=True, eq=False)
class adagrad(Descent):
    """g ← g + λθ;  s ← s + g²;  θ ← θ − η g / (√s + ε).

    Args:
        eps: ε > 0.
        weight_decay: λ ≥ 0, on matrices and kernels only.

    Source: Duchi, Hazan and Singer 2011, Adaptive subgradient methods for online learning and stochastic optimization.
    """

    lr: Positive = 0.01
    eps: Positive = 1e-10
    weight_decay: NonNegative = 0.0

    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        return torch.optim.Adagrad(groups, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay, fused=fused)
