"""Means over examples that arrive in batches."""

from __future__ import annotations

import torch
from torch import Tensor


class RunningMean:
    """x̄ = (1/n) Σᵢ xᵢ of the rows seen so far, summed in float64 where they are; 0 before the first.

    Shapes: rows (batch,) or (batch, outputs) → () or (outputs,).
    """

    def __init__(self) -> None:
        self.total, self.count = torch.zeros((), dtype=torch.float64), 0

    def take(self, rows: Tensor) -> Tensor:
        """Take in the rows of a batch, and hand them back."""
        self.total = self.total.to(rows.device) + rows.sum(0, dtype=torch.float64)
        self.count += len(rows)
        return rows

    @property
    def value(self) -> Tensor:
        return self.total / max(self.count, 1)


class RunningSquares:
    """Σᵢ (xᵢ − x̄)² of the rows seen so far, kept as (n, x̄, sum) and merged by batch: offsets cost no digits.

    Shapes: rows (batch, outputs) → (outputs,).

    Source: Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.total = torch.zeros(1, dtype=torch.float64)

    def take(self, rows: Tensor) -> None:
        rows = rows.double()
        mean, total = rows.mean(0), self.count + len(rows)
        shift = mean - self.mean.to(mean.device)
        within = (rows - mean).square().sum(0)
        self.total = self.total.to(mean.device) + within + shift.square() * (self.count * len(rows) / total)
        self.mean = self.mean.to(mean.device) + shift * (len(rows) / total)
        self.count = total
