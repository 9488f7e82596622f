"""Cosine decay, with restarts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from thetastar.algorithms.warmed import Warmed
from thetastar.registry import BelowOne, Count, Fraction

__all__ = ["cosine"]


@dataclass(kw_only=True, eq=False)
class cosine(Warmed):
    """Linear warm-up, then final + (1 − final) · (1 + cos πp) / 2, p from 0 to 1 over each of the cycles.

    Args:
        final: share of the peak at the end of a cycle, in [0, 1].
        cycles: how often the step size falls from its peak, ≥ 1; all but the first are restarts.
        stretch: how much longer each cycle is than the one before, ≥ 1.

    Source: Loshchilov and Hutter 2017, SGDR: stochastic gradient descent with warm restarts.
    """

    warmup: BelowOne = 0.05
    final: Fraction = 0.0
    cycles: Count = 1
    stretch: Annotated[float, Ge(1)] = 1.0

    def decay(self, p: float) -> float:
        lengths = [self.stretch**cycle for cycle in range(self.cycles)]
        place = p * sum(lengths)
        for length in lengths[:-1]:
            if place < length - 1e-9:  # a restart falls on its step in spite of rounding
                break
            place -= length
        else:
            length = lengths[-1]
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * max(place, 0.0) / length))
