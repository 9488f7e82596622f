"""Share of right answers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure

__all__ = ["accuracy"]


class accuracy(Measure):
    """Accuracy: (1/n) Σ 1[ŷᵢ = yᵢ], in [0, 1]; of several labels an example, all have to be right.

    Shapes: prediction and target (batch,) of classes or (batch, labels) of 0 and 1.
    """

    wants = frozenset({"prediction"})
    kinds = frozenset({"category", "categories"})

    def __init__(self) -> None:
        self.mean = RunningMean()

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        right = (out["prediction"] == batch["target"]).reshape(len(batch["target"]), -1).all(1)
        return self.mean.take(right.float())

    def compute(self) -> dict[str, float]:
        return {"accuracy": self.mean.value.item()}
