"""What schedules that rise to their peak and then decay share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from thetastar.functional.warmup import warming
from thetastar.protocols import Clock, Schedule
from thetastar.registry import BelowOne

__all__: list[str] = []


@dataclass(kw_only=True, eq=False)
class Warmed(Schedule):
    """Linear warm-up, then `decay`, a function of the share of the rest of the run that is over.

    Args:
        warmup: share of the run spent rising from 0, in [0, 1).
    """

    warmup: BelowOne = 0.0

    @abstractmethod
    def decay(self, p: float) -> float:
        """The share of the peak at p in [0, 1) of the time after the warm-up."""

    def factor(self, t: Clock, losses: Sequence[float] = ()) -> float:
        warm = warming(t, self.warmup)
        if warm is not None:
            return warm
        begun = self.warmup * t.steps
        return self.decay((t.step - begun) / max(t.steps - begun, 1))
