"""Precision, recall and their harmonic mean."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from thetastar.functional.counts import f_scores, hits, shares
from thetastar.protocols import Batch, Measure
from thetastar.registry import Positive

__all__ = ["f1", "f_beta", "micro_f1", "precision", "recall"]

Average = Literal["macro", "micro", "weighted"]


class Hits(Measure):
    """What the four share: counts by class, and an average over classes that were called or there.

    Args:
        average: over classes: "macro" each alike, "weighted" by how often each is there, "micro" of the pooled counts.
    """

    wants = frozenset({"prediction", "probabilities"})
    kinds = frozenset({"category", "categories"})

    def __init__(self, *, average: Average = "macro") -> None:
        self.average = average
        self.labels = False
        self.counts = torch.zeros(3, 1, dtype=torch.int64)

    @abstractmethod
    def score(self, counts: Tensor) -> Tensor:
        """(3, classes) counts → (classes,)."""

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        target = batch["target"]
        self.labels = target.ndim == 2
        self.counts = hits(out["prediction"], target, out["probabilities"].shape[1]) + self.counts.to(target.device)

    def compute(self) -> dict[str, float]:
        counts = self.counts if self.labels else self.counts[:, self.counts[1:].sum(0) > 0]
        if self.average == "micro":
            value = self.score(counts.sum(1, keepdim=True)).sum()
        elif self.average == "weighted":
            value = (self.score(counts) * counts[2]).sum() / counts[2].sum().clamp_min(1)
        else:
            value = self.score(counts).sum() / max(counts.shape[1], 1)
        return {type(self).__name__: value.item()}

    def table(self) -> dict[str, list[float]]:
        """By class: precision, recall, F₁ and how often it is there."""
        columns = {
            "precision": shares(self.counts, 1),
            "recall": shares(self.counts, 2),
            "f1": f_scores(self.counts, 1.0),
        }
        return {**{name: column.tolist() for name, column in columns.items()}, "there": self.counts[2].tolist()}


class precision(Hits):
    """Precision TP / (TP + FP), averaged over classes, in [0, 1]; 0 for a class that was never called.

    Args:
        average: over classes: "macro" each alike, "weighted" by how often each is there, "micro" of the pooled counts.

    Shapes: prediction and target (batch,) of classes, or (batch, labels) of 0 and 1.
    """

    def score(self, counts: Tensor) -> Tensor:
        return shares(counts, 1)


class recall(Hits):
    """Recall TP / (TP + FN), averaged over classes, in [0, 1]; 0 for a class that is never there.

    Args:
        average: over classes: "macro" each alike, "weighted" by how often each is there, "micro" of the pooled counts.

    Shapes: prediction and target (batch,) of classes, or (batch, labels) of 0 and 1.
    """

    def score(self, counts: Tensor) -> Tensor:
        return shares(counts, 2)


class f1(Hits):
    """F₁ = 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall, averaged over classes, in [0, 1].

    Args:
        average: over classes: "macro" each alike, "weighted" by how often each is there, "micro" of the pooled counts.

    Shapes: prediction and target (batch,) of classes, or (batch, labels) of 0 and 1.
    """

    def score(self, counts: Tensor) -> Tensor:
        return f_scores(counts, 1.0)


class micro_f1(Hits):
    """F₁ = 2 TP / (2 TP + FP + FN) of the counts of all classes pooled, in [0, 1]; of one class a row, the accuracy.

    Shapes: prediction and target (batch,) of classes, or (batch, labels) of 0 and 1.
    """

    def __init__(self) -> None:
        super().__init__(average="micro")

    def score(self, counts: Tensor) -> Tensor:
        return f_scores(counts, 1.0)


class f_beta(Hits):
    """F_β = (1 + β²) TP / ((1 + β²) TP + β² FN + FP), averaged over classes, in [0, 1]: recall counts β times as much.

    Args:
        beta: β > 0.
        average: over classes: "macro" each alike, "weighted" by how often each is there, "micro" of the pooled counts.

    Shapes: prediction and target (batch,) of classes, or (batch, labels) of 0 and 1.

    Source: van Rijsbergen 1979, Information retrieval.
    """

    def __init__(self, *, beta: Positive = 2.0, average: Average = "macro") -> None:
        super().__init__(average=average)
        self.beta = beta

    def score(self, counts: Tensor) -> Tensor:
        return f_scores(counts, self.beta)
