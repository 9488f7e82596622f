"""Accuracy that no frequent class can buy."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.functional.counts import hits, shares
from thetastar.protocols import Batch, Measure

__all__ = ["balanced_accuracy"]


class balanced_accuracy(Measure):
    """Balanced accuracy: the mean over classes of the share of their examples that is called right, in [0, 1].

    Shapes: prediction and target (batch,) of classes.

    Source: Brodersen, Ong, Stephan and Buhmann 2010, The balanced accuracy and its posterior distribution.
    """

    wants = frozenset({"prediction", "probabilities"})
    kinds = frozenset({"category"})

    def __init__(self) -> None:
        self.counts = torch.zeros(3, 1, dtype=torch.int64)

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        added = hits(out["prediction"], batch["target"], out["probabilities"].shape[1])
        self.counts = added + self.counts.to(added.device)

    def compute(self) -> dict[str, float]:
        there = self.counts[2] > 0
        return {"balanced_accuracy": shares(self.counts, 2)[there].sum().item() / max(int(there.sum()), 1)}
