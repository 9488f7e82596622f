"""How far two sets of labels are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure

__all__ = ["jaccard"]


class jaccard(Measure):
    """Jaccard index (1/n) Σ |Ŷᵢ ∩ Yᵢ| / |Ŷᵢ ∪ Yᵢ| of the labels called and there, in [0, 1]; 1 where both are empty.

    Between accuracy, for which every label of an example has to be right, and the share of single labels, which is
    high where labels are seldom and none is ever called.

    Shapes: prediction and target (batch, labels) of 0 and 1.

    Source: Jaccard 1912, The distribution of the flora in the alpine zone; Godbole and Sarawagi 2004, Discriminative
    methods for multi-labeled classification.
    """

    wants = frozenset({"prediction"})
    kinds = frozenset({"categories"})

    def __init__(self) -> None:
        self.mean = RunningMean()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "topics", "model": {"name": "mlp", "widths": [16]}, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        called, there = out["prediction"].bool(), batch["target"].bool()
        both, any_ = (called & there).sum(1).double(), (called | there).sum(1).double()
        return self.mean.take(torch.where(any_ > 0, both / any_.clamp_min(1), torch.ones_like(both)))

    def compute(self) -> dict[str, float]:
        return {"jaccard": self.mean.value.item()}
