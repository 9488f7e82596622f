"""Mean squared error and its root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure
from thetastar.registry import Positive

__all__ = ["mse", "rmse"]


def squared_errors(out: Mapping[str, Tensor], batch: Batch) -> Tensor:
    """(batch, outputs) squares of what the prediction is off, in float64."""
    error = out["prediction"].double() - batch["target"].double()
    return error.square().reshape(len(error), -1)


class mse(Measure):
    """Mean squared error (1/n) Σ ((ŷᵢ − yᵢ) / s)², averaged over outputs, ≥ 0, in the target's units squared for s = 1.

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
        errors = squared_errors(out, batch)
        return self.mean.take((errors / self.scale.to(errors.device).square()).mean(1))

    def compute(self) -> dict[str, float]:
        return {"mse": self.mean.value.item()}


class rmse(Measure):
    """Root mean squared error √((1/n) Σ (ŷᵢ − yᵢ)²), ≥ 0, in the target's units; the mean of the roots over outputs.

    Shapes: prediction and target (batch,) or (batch, outputs).
    """

    wants = frozenset({"prediction"})
    kinds = frozenset({"number"})
    higher_is_better = False

    def __init__(self) -> None:
        self.mean = RunningMean()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "diabetes", "model": {"name": "mlp", "widths": [16]}, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        self.mean.take(squared_errors(out, batch))

    def compute(self) -> dict[str, float]:
        return {"rmse": self.mean.value.sqrt().mean().item()}
