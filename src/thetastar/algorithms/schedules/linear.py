"""Linear decay."""

from __future__ import annotations

from dataclasses import dataclass

from thetastar.algorithms.warmed import Warmed
from thetastar.registry import BelowOne, Fraction

__all__ = ["linear"]


@dataclass(kw_only=True, eq=False)
class linear(Warmed):
    """Linear warm-up, then 1 − (1 − final) p.

    Args:
        final: share of the peak at the end, in [0, 1].

    Source: Devlin et al. 2019, BERT: pre-training of deep bidirectional transformers for language understanding.
    """

    warmup: BelowOne = 0.05
    final: Fraction = 0.0

    def decay(self, p: float) -> float:
        return 1 - (1 - self.final) * p
