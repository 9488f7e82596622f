"""No decay."""

from __future__ import annotations

from thetastar.functional.warmup import warming
from thetastar.protocols import Clock, Schedule
from thetastar.registry import BelowOne

__all__ = ["constant"]


class constant(Schedule):
    """Linear warm-up, then 1.

    Args:
        warmup: share of the run spent rising from 0, in [0, 1).
    """

    def __init__(self, *, warmup: BelowOne = 0.0) -> None:
        self.warmup = warmup

    def factor(self, t: Clock) -> float:
        warm = warming(t, self.warmup)
        return 1.0 if warm is None else warm
