"""The coefficient of determination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.protocols import Batch, Measure

__all__ = ["r2"]


class r2(Measure):
    """R² = 1 − Σ (ŷᵢ − yᵢ)² / Σ (yᵢ − ȳ)², at most 1, 0 for the mean of the split; averaged over outputs.

    The denominator is kept as (n, mean, sum of squares about it) and merged batch by batch, so large offsets
    cost no digits. A constant target gives 1 where it is hit exactly, else 0.

    Shapes: prediction and target (batch,) or (batch, outputs).

    Source: Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance.
    """

    wants = frozenset({"prediction"})
    kinds = frozenset({"number"})

    def __init__(self) -> None:
        self.count = 0
        self.residual = self.mean = self.spread = torch.zeros(1, dtype=torch.float64)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "diabetes", "model": {"name": "mlp", "widths": [16]}, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        target = batch["target"].double().reshape(len(batch["target"]), -1)
        error = out["prediction"].double().reshape(target.shape) - target
        rows, mean = len(target), target.mean(0)
        shift = mean - self.mean.to(mean.device)
        total = self.count + rows
        within = (target - mean).square().sum(0)
        self.spread = self.spread.to(mean.device) + within + shift.square() * (self.count * rows / total)
        self.mean = self.mean.to(mean.device) + shift * (rows / total)
        self.residual = self.residual.to(mean.device) + error.square().sum(0)
        self.count = total

    def compute(self) -> dict[str, float]:
        varies = self.spread > 0
        ratio = self.residual / torch.where(varies, self.spread, torch.ones_like(self.spread))
        flat = (self.residual == 0).double()
        return {"r2": torch.where(varies, 1 - ratio, flat).mean().item()}
