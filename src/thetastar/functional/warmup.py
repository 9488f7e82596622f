"""The rise to the peak that schedules share."""

from __future__ import annotations

import math

from thetastar.protocols import Clock


def warming(t: Clock, warmup: float) -> float | None:
    """(step + 1) / (⌊warmup · steps⌋ + 1) during the first share `warmup` of the run, then None."""
    warm = warmup * t.steps
    return (t.step + 1) / (math.floor(warm) + 1) if t.step < warm else None
