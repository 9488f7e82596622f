"""The squared error of probabilities."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure

__all__ = ["brier"]


class brier(Measure):
    """Brier score (1/n) Σᵢ Σ_c (p(c | xᵢ) − 1[yᵢ = c])², in [0, 2].

    It is halved for two classes and averaged over labels, where there are several: then in [0, 1].

    Shapes: probabilities (batch, classes), target (batch,) of classes or (batch, labels) of 0 and 1.

    Source: Brier 1950, Verification of forecasts expressed in terms of probability.
    """

    wants = frozenset({"probabilities"})
    kinds = frozenset({"category", "categories"})
    higher_is_better = False

    def __init__(self) -> None:
        self.mean = RunningMean()

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        p, target = out["probabilities"].double(), batch["target"]
        if target.ndim == 2:
            column = (p - target).square().mean(1)
        else:
            classes = p.shape[1]
            column = (p - F.one_hot(target, classes)).square().sum(1) / (2 if classes == 2 else 1)
        return self.mean.take(column)

    def compute(self) -> dict[str, float]:
        return {"brier": self.mean.value.item()}
