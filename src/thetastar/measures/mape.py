"""Mean absolute percentage error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure

__all__ = ["mape"]


class mape(Measure):
    """Mean absolute percentage error (1/n) Σ |ŷᵢ − yᵢ| / |yᵢ|, averaged over outputs, ≥ 0: 0.1 is 10% off.

    |yᵢ| is at least ε = 2.2e-16, so a target of 0 that is missed costs more than all others together; forecasts that
    are too low cost less than those that are too high.

    Shapes: prediction and target (batch,) or (batch, outputs).

    Source: Hyndman and Koehler 2006, Another look at measures of forecast accuracy.
    """

    wants = frozenset({"prediction"})
    kinds = frozenset({"number"})
    higher_is_better = False

    def __init__(self) -> None:
        self.mean = RunningMean()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "diabetes", "model": {"name": "mlp", "widths": [16]}, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        target = batch["target"].double()
        share = (out["prediction"].double() - target).abs() / target.abs().clamp_min(torch.finfo(torch.float64).eps)
        return self.mean.take(share.reshape(len(share), -1).mean(1))

    def compute(self) -> dict[str, float]:
        return {"mape": self.mean.value.item()}
