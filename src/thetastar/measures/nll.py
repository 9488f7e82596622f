"""Negative log-likelihood."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.losses import binary_cross_entropy, cross_entropy
from thetastar.protocols import Batch, Measure

__all__ = ["nll"]


class nll(Measure):
    """Negative log-likelihood −(1/n) Σ log p(yᵢ | xᵢ), in nats, ≥ 0.

    Shapes: logits (batch, classes), target (batch,) classes or (batch, classes) of 0 and 1.
    """

    wants = frozenset({"logits"})
    higher_is_better = False

    def __init__(self) -> None:
        self.total, self.count = torch.zeros((), dtype=torch.float64), 0

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        if "logits" not in out:
            raise UserError("nll of a method that gives no logits", "a classifier", "choose mse or r2")
        logits, target = out["logits"], batch["target"]
        loss = cross_entropy(logits, target) if target.ndim == 1 else binary_cross_entropy(logits, target)
        self.total = self.total.to(loss.device) + loss.double().sum()
        self.count += len(loss)
        return loss

    def compute(self) -> dict[str, float]:
        return {"nll": self.total.item() / max(self.count, 1)}
