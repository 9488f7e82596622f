"""Negative log-likelihood."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from thetastar.functional.losses import binary_cross_entropy, cross_entropy
from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure

__all__ = ["nll"]


class nll(Measure):
    """Negative log-likelihood −(1/n) Σ log p(yᵢ | xᵢ), in nats, ≥ 0.

    Shapes: logits (batch, classes), target (batch,) classes or (batch, classes) of 0 and 1.
    """

    wants = frozenset({"logits"})
    kinds = frozenset({"category", "categories"})
    higher_is_better = False

    def __init__(self) -> None:
        self.mean = RunningMean()

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        logits, target = out["logits"], batch["target"]
        loss = cross_entropy if target.ndim == 1 else binary_cross_entropy
        return self.mean.take(loss(logits, target))

    def compute(self) -> dict[str, float]:
        return {"nll": self.mean.value.item()}
