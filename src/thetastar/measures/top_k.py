"""Whether the right answer is among the first few."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure
from thetastar.registry import Count

__all__ = ["top_k"]


class top_k(Measure):
    """Top-k accuracy (1/n) Σ 1[yᵢ among the k classes of highest score], in [0, 1].

    Of equal scores the later class is first.

    Args:
        k: classes that may be named; 1 is accuracy, as many as there are is always right.

    Shapes: logits (batch, classes), target (batch,).
    """

    wants = frozenset({"logits"})
    kinds = frozenset({"category"})

    def __init__(self, *, k: Count = 5) -> None:
        self.k = k
        self.mean = RunningMean()

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        logits, target = out["logits"], batch["target"][:, None]
        own = logits.gather(1, target)
        later = torch.arange(logits.shape[1], device=logits.device) > target
        ahead = ((logits > own) | ((logits == own) & later)).sum(1)
        return self.mean.take((ahead < self.k).float())

    def compute(self) -> dict[str, float]:
        return {"top_k": self.mean.value.item()}
