"""What measures share that are the mean over examples of how far a number is off."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure

__all__: list[str] = []


class NumberError(Measure):
    """(1/n) Σᵢ e(ŷᵢ, yᵢ), e averaged over outputs; ŷ and y as (batch, outputs) in float64."""

    wants = frozenset({"prediction"})
    kinds = frozenset({"number"})
    higher_is_better = False

    def __init__(self) -> None:
        self.mean = RunningMean()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "diabetes", "model": {"name": "mlp", "widths": [16]}, "measures": [cls.__name__]}

    @abstractmethod
    def errors(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(batch, outputs) twice → (batch, outputs)."""

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor | None:
        prediction, target = (x.double().reshape(len(x), -1) for x in (out["prediction"], batch["target"]))
        return self.mean.take(self.errors(prediction, target).mean(1))

    def compute(self) -> dict[str, float]:
        return {type(self).__name__: self.mean.value.item()}
