"""Exponential decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le

from thetastar.algorithms.warmed import Warmed

__all__ = ["exponential"]


@dataclass(kw_only=True, eq=False)
class exponential(Warmed):
    """Linear warm-up, then finalᵖ: every step multiplies by the same factor γ = final^(1 / steps).

    Args:
        final: share of the peak at the end, in (0, 1].

    Source: Darken and Moody 1990, Note on learning rate schedules for stochastic optimization.
    """

    final: Annotated[float, Gt(0), Le(1)] = 0.01

    def decay(self, p: float) -> float:
        return self.final**p
