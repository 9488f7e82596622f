"""How many directions the features use."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.functional import collapse
from thetastar.protocols import Batch, Measure

__all__ = ["effective_rank"]


class effective_rank(Measure):
    """exp(−Σ p log p) with p the normalised standard deviations of the features along their principal axes.

    Streaming: the first two moments are kept, in float64. 1 means collapse onto a line, the width of f a full ball.

    Source: Roy and Vetterli 2007, The effective rank: a measure of effective dimensionality.
    """

    wants = frozenset({"features"})

    def __init__(self) -> None:
        self.rows = 0
        self.total = self.products = torch.zeros((), dtype=torch.float64)

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        z = out["features"].flatten(1).double()
        self.rows += len(z)
        self.total = self.total.to(z.device) + z.sum(0)
        self.products = self.products.to(z.device) + z.T @ z

    def compute(self) -> dict[str, float]:
        mean = self.total / max(self.rows, 1)
        covariance = self.products / max(self.rows, 1) - torch.outer(mean, mean)
        return {"effective_rank": float(collapse.effective_rank(covariance))}
