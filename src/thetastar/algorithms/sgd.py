"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from thetastar.algorithms.descent import Descent
from thetastar.registry import BelowOne, NonNegative, Positive

__all__ = ["sgd"]


@dataclass(kw_only=True, eq=False)
class sgd(Descent):
    """v ← μ v + g + λ θ;  θ ← θ − η v  (Nesterov: θ ← θ − η (g + λ θ + μ v)).

    On the whole training split as one batch (data.batch_size=all) and with momentum=0 it is gradient descent.

    Args:
        momentum: μ in [0, 1); 0 is plain gradient descent on the batch.
        nesterov: look ahead by one step of momentum.
        weight_decay: λ ≥ 0, on matrices and kernels only.

    Source: Robbins and Monro 1951, A stochastic approximation method; Polyak 1964, Some methods of speeding up the
    convergence of iteration methods; Nesterov 1983, A method of solving a convex programming problem.
    """

    lr: Positive = 0.1
    momentum: BelowOne = 0.9
    nesterov: bool = False
    weight_decay: NonNegative = 0.0

    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            groups,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov and self.momentum > 0,
            weight_decay=self.weight_decay,
            fused=fused,
        )
