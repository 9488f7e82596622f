"""Decay where the loss stops falling."""

from __future__ import annotations

import math
from collections.abc import Sequence

from thetastar.functional.warmup import warming
from thetastar.protocols import Clock, Schedule
from thetastar.registry import BelowOne, Fraction, NonNegative, Whole

__all__ = ["plateau"]


class plateau(Schedule):
    """Linear warm-up, then γᵏ, k the number of times that `patience` epochs in a row brought no lower training loss.

    An epoch is lower where its mean loss is below (1 − ε) times the lowest before it. The training loss is what is
    listened to: the valid split is for choices, and every look at it is one.

    Args:
        gamma: γ in [0, 1], by which the step size is multiplied.
        patience: epochs without a lower loss that are forgiven.
        threshold: ε ≥ 0, the relative fall that counts.
        warmup: share of the run spent rising from 0, in [0, 1).

    Source: He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition ("divided by 10 when the error
    plateaus").
    """

    listens = True

    def __init__(
        self, *, gamma: Fraction = 0.1, patience: Whole = 5, threshold: NonNegative = 1e-4, warmup: BelowOne = 0.0
    ) -> None:
        self.gamma, self.patience, self.threshold, self.warmup = gamma, patience, threshold, warmup

    def factor(self, t: Clock, losses: Sequence[float] = ()) -> float:
        warm = warming(t, self.warmup)
        return self.gamma ** self.falls(losses) * (1.0 if warm is None else warm)

    def falls(self, losses: Sequence[float]) -> int:
        """How often the patience has run out."""
        lowest, waited, falls = math.inf, 0, 0
        for loss in losses:
            waited = 0 if loss < lowest * (1 - self.threshold) else waited + 1
            lowest = min(lowest, loss) if waited == 0 else lowest
            if waited > self.patience:
                falls, waited = falls + 1, 0
        return falls
