"""Mean squared error and its root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.functional.means import RunningMean
from thetastar.measures.number_error import NumberError
from thetastar.protocols import Batch, Measure
from thetastar.registry import Positive

__all__ = ["mse", "rmse"]


class mse(NumberError):
    """Mean squared error (1/n) Σ ((ŷᵢ − yᵢ) / s)², averaged over outputs, ≥ 0, in the target's units squared for s = 1.

    Args:
        scale: s of each output, > 0, so that outputs in different units count alike; () is 1.

    Shapes: prediction and target (batch,) or (batch, outputs).
    """

    def __init__(self, *, scale: tuple[Positive, ...] = ()) -> None:
        super().__init__()
        self.scale = torch.tensor(scale or (1.0,), dtype=torch.float64)

    def errors(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction - target).square() / self.scale.to(target.device).square()


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
        return NumberError.example() | {"measures": ["rmse"]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        error = out["prediction"].double() - batch["target"].double()
        self.mean.take(error.square().reshape(len(error), -1))

    def compute(self) -> dict[str, float]:
        return {"rmse": self.mean.value.sqrt().mean().item()}
