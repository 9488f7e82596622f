"""RMSProp: the gradient in units of its recent size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from thetastar.algorithms.descent import Descent
from thetastar.registry import BelowOne, NonNegative, Positive

__all__ = ["rmsprop"]


@dataclass(kw_only=True, eq=False)
class rmsprop(Descent):
    """g ← g + λθ;  s ← αs + (1−α)g²;  v ← μv + g / (√s + ε);  θ ← θ − ηv.

    Args:
        alpha: α in [0, 1), how slowly the mean square forgets.
        eps: ε > 0.
        momentum: μ in [0, 1).
        weight_decay: λ ≥ 0, on matrices and kernels only.

    Source: Tieleman and Hinton 2012, Lecture 6.5: divide the gradient by a running average of its recent magnitude.
    """

    lr: Positive = 1e-3
    alpha: BelowOne = 0.99
    eps: Positive = 1e-8
    momentum: BelowOne = 0.0
    weight_decay: NonNegative = 0.0

    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            groups,
            lr=self.lr,
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )
