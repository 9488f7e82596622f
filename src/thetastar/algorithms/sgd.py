"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

import torch

from thetastar.algorithms.descent import Descent
from thetastar.protocols import Schedule
from thetastar.registry import BelowOne, NonNegative, Positive

__all__ = ["sgd"]


class sgd(Descent):
    """v ← μ v + g + λ θ;  θ ← θ − η v  (Nesterov: θ ← θ − η (g + λ θ + μ v)).

    Args:
        lr: step size η at its peak, > 0.
        momentum: μ in [0, 1); 0 is plain gradient descent on the batch.
        nesterov: look ahead by one step of momentum.
        weight_decay: λ ≥ 0, on matrices and kernels only.
        schedule: share of the peak over the run; null is constant.
        clip: largest norm of the gradient; null leaves it.
        ema: decay of averaged weights for evaluation; null evaluates the live ones.

    Source: Robbins and Monro 1951, A stochastic approximation method; Polyak 1964, Some methods of speeding up the
    convergence of iteration methods; Nesterov 1983, A method of solving a convex programming problem.
    """

    def __init__(
        self,
        *,
        lr: Positive = 0.1,
        momentum: BelowOne = 0.9,
        nesterov: bool = False,
        weight_decay: NonNegative = 0.0,
        schedule: Schedule | None = "cosine",  # type: ignore[assignment]
        clip: Positive | None = None,
        ema: BelowOne | None = None,
    ) -> None:
        super().__init__(lr=lr, schedule=schedule, clip=clip, ema=ema)
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay

    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            groups,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov and self.momentum > 0,
            weight_decay=self.weight_decay,
            fused=fused,
        )
