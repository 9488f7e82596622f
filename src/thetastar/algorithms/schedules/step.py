"""Decay in steps."""

from __future__ import annotations

from collections.abc import Sequence

from thetastar.functional.warmup import warming
from thetastar.protocols import Clock, Schedule
from thetastar.registry import BelowOne, Fraction

__all__ = ["step"]


class step(Schedule):
    """Linear warm-up, then γᵏ, k the number of milestones that the run has passed.

    Args:
        milestones: shares of the run, in [0, 1], at which the step size falls.
        gamma: γ in [0, 1], by which it is multiplied there.
        warmup: share of the run spent rising from 0, in [0, 1).

    Source: He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition.
    """

    def __init__(
        self, *, milestones: tuple[Fraction, ...] = (0.5, 0.75), gamma: Fraction = 0.1, warmup: BelowOne = 0.0
    ) -> None:
        self.milestones, self.gamma, self.warmup = milestones, gamma, warmup

    def factor(self, t: Clock, losses: Sequence[float] = ()) -> float:
        warm = warming(t, self.warmup)
        passed = sum(t.step >= milestone * t.steps for milestone in self.milestones)
        return self.gamma**passed * (1.0 if warm is None else warm)
