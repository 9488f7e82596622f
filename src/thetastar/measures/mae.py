"""Mean absolute error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure
from thetastar.registry import Positive

__all__ = ["mae"]


class mae(Measure):
    """Mean absolute error (1/n) Σ |ŷᵢ − yᵢ| / s, averaged over outputs, ≥ 0, in the target's units for s = 1.

    Args:
        scale: s of each output, > 0, so that outputs in different units count alike; () is 1.

    Shapes: prediction and target (batch,) or (batch, outputs).
    """

    wants = frozenset({"prediction"})
    kinds = frozenset({"number"})
    higher_is_better = False

    def __init__(self, *, scale: tuple[Positive, ...] = ()) -> None:
        self.scale = torch.tensor(scale or (1.0,), dtype=torch.float64)
        self.mean = RunningMean()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "diabetes", "model": {"name": "mlp", "widths": [16]}, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        error = (out["prediction"].double() - batch["target"].double()).abs()
        return self.mean.take((error.reshape(len(error), -1) / self.scale.to(error.device)).mean(1))

    def compute(self) -> dict[str, float]:
        return {"mae": self.mean.value.item()}
