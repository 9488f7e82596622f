"""Median absolute error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.protocols import Batch, Measure

__all__ = ["median_absolute_error"]


class median_absolute_error(Measure):
    """median |ŷᵢ − yᵢ|, averaged over outputs, ≥ 0, in the target's units: up to half of the rows may be outliers.

    Of an even number, the mean of the two in the middle. A median needs all values: one float32 an output is kept.

    Shapes: prediction and target (batch,) or (batch, outputs).
    """

    wants = frozenset({"prediction"})
    kinds = frozenset({"number"})
    higher_is_better = False

    def __init__(self) -> None:
        self.errors: list[Tensor] = []

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "diabetes", "model": {"name": "mlp", "widths": [16]}, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        error = (out["prediction"].double() - batch["target"].double()).abs()
        self.errors.append(error.reshape(len(error), -1).float().cpu())

    def compute(self) -> dict[str, float]:
        if not self.errors:
            return {"median_absolute_error": math.nan}
        ordered = torch.cat(self.errors).sort(0).values.double()
        middle = (len(ordered) - 1) // 2, len(ordered) // 2
        return {"median_absolute_error": ordered[list(middle)].mean().item()}
