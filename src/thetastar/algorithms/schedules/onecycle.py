"""One cycle: up, then all the way down."""

from __future__ import annotations

import math
from collections.abc import Sequence

from thetastar.protocols import Clock, Schedule
from thetastar.registry import BelowOne, Fraction

__all__ = ["onecycle"]


class onecycle(Schedule):
    """From `initial` to 1 along half a cosine, then from 1 to `final` along another one; its warm-up is the rise.

    Args:
        rise: share of the run spent rising, in [0, 1).
        initial: share of the peak at the first step, in [0, 1].
        final: share of the peak at the last step, in [0, 1].

    Source: Smith and Topin 2019, Super-convergence: very fast training of neural networks using large learning rates.
    """

    def __init__(self, *, rise: BelowOne = 0.3, initial: Fraction = 0.04, final: Fraction = 4e-6) -> None:
        self.rise, self.initial, self.final = rise, initial, final

    def factor(self, t: Clock, losses: Sequence[float] = ()) -> float:
        top, end = max(self.rise * t.steps - 1, 0.0), t.steps - 1
        if t.step < top:
            return _between(self.initial, 1.0, t.step / top)
        return _between(1.0, self.final, (t.step - top) / max(end - top, 1e-9))


def _between(start: float, stop: float, p: float) -> float:
    """Half a cosine from `start` at p = 0 to `stop` at p = 1."""
    return stop + (start - stop) * 0.5 * (1 + math.cos(math.pi * min(max(p, 0.0), 1.0)))
