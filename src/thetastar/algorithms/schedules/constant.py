"""No decay."""

from __future__ import annotations

from dataclasses import dataclass

from thetastar.algorithms.warmed import Warmed

__all__ = ["constant"]


@dataclass(kw_only=True, eq=False)
class constant(Warmed):
    """Linear warm-up, then 1."""

    def decay(self, p: float) -> float:
        return 1.0
