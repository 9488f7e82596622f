"""How much of the target's variation is explained: the coefficient of determination and its lenient sibling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.functional.means import RunningSquares
from thetastar.protocols import Batch, Measure

__all__ = ["explained_variance", "r2"]


def by_output(out: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
    """(batch, outputs) targets, and what the predictions are off, in float64."""
    target = batch["target"].double().reshape(len(batch["target"]), -1)
    return target, out["prediction"].double().reshape(target.shape) - target


def explained(residual: Tensor, spread: Tensor) -> float:
    """1 − residual / spread, averaged; where nothing varies, 1 if nothing is left over, else 0."""
    varies = spread > 0
    ratio = residual / torch.where(varies, spread, torch.ones_like(spread))
    return torch.where(varies, 1 - ratio, (residual == 0).double()).mean().item()


class r2(Measure):
    """R² = 1 − Σ (ŷᵢ − yᵢ)² / Σ (yᵢ − ȳ)², at most 1, 0 for the mean of the split; averaged over outputs.

    A constant target gives 1 where it is hit exactly, else 0.

    Shapes: prediction and target (batch,) or (batch, outputs).
    """

    wants = frozenset({"prediction"})
    kinds = frozenset({"number"})

    def __init__(self) -> None:
        self.residual = torch.zeros(1, dtype=torch.float64)
        self.spread = RunningSquares()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "diabetes", "model": {"name": "mlp", "widths": [16]}, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        target, error = by_output(out, batch)
        self.spread.take(target)
        self.residual = self.residual.to(error.device) + error.square().sum(0)

    def compute(self) -> dict[str, float]:
        return {"r2": explained(self.residual, self.spread.total)}


class explained_variance(Measure):
    """1 − Var(ŷ − y) / Var(y), at most 1; averaged over outputs. R² if the errors have mean 0, else more than R².

    A constant target gives 1 where the errors are constant too, else 0.

    Shapes: prediction and target (batch,) or (batch, outputs).
    """

    wants = frozenset({"prediction"})
    kinds = frozenset({"number"})

    def __init__(self) -> None:
        self.residual, self.spread = RunningSquares(), RunningSquares()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "diabetes", "model": {"name": "mlp", "widths": [16]}, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        target, error = by_output(out, batch)
        self.spread.take(target)
        self.residual.take(error)

    def compute(self) -> dict[str, float]:
        return {"explained_variance": explained(self.residual.total, self.spread.total)}
