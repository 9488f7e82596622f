"""Cosine decay."""

from __future__ import annotations

import math

from thetastar.functional.warmup import warming
from thetastar.protocols import Clock, Schedule
from thetastar.registry import BelowOne, Fraction

__all__ = ["cosine"]


class cosine(Schedule):
    """Linear warm-up, then final + (1 − final) · (1 + cos πp) / 2 over the rest of the run.

    Args:
        warmup: share of the run spent rising from 0, in [0, 1).
        final: share of the peak at the end, in [0, 1].

    Source: Loshchilov and Hutter 2017, SGDR: stochastic gradient descent with warm restarts.
    """

    def __init__(self, *, warmup: BelowOne = 0.05, final: Fraction = 0.0) -> None:
        self.warmup, self.final = warmup, final

    def factor(self, t: Clock) -> float:
        warm = warming(t, self.warmup)
        if warm is not None:
            return warm
        begun = self.warmup * t.steps
        p = (t.step - begun) / max(t.steps - begun, 1)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * p))
