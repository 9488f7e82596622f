"""How much the predictions leave open, and how much they tell."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.functional import information
from thetastar.functional.counts import confusion_matrix
from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure

__all__ = ["entropy", "mutual_information"]


class entropy(Measure):
    """Mean entropy of the predictions −(1/n) Σᵢ Σ_c p(c | xᵢ) log p(c | xᵢ), in nats, from 0 to log classes.

    What the model says it does not know; where its probabilities are right, this is its negative log-likelihood.

    Shapes: probabilities (batch, classes).

    Source: Shannon 1948, A mathematical theory of communication.
    """

    wants = frozenset({"probabilities"})
    kinds = frozenset({"category"})
    higher_is_better = None

    def __init__(self) -> None:
        self.mean = RunningMean()

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        return self.mean.take(information.entropy(out["probabilities"].double()))

    def compute(self) -> dict[str, float]:
        return {"entropy": self.mean.value.item()}


class mutual_information(Measure):
    """I(Y; Ŷ) = Σ_ij p(i, j) log(p(i, j) / (p(i) p(j))) of truth and prediction, in nats, from 0 to log classes.

    What an answer tells of the truth: 0 for a constant answer, however often it is right; renaming the answers changes
    nothing.

    Shapes: prediction and target (batch,) of classes.

    Source: Shannon 1948, A mathematical theory of communication.
    """

    wants = frozenset({"prediction", "probabilities"})
    kinds = frozenset({"category"})

    def __init__(self) -> None:
        self.matrix = torch.zeros(1, 1, dtype=torch.int64)

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        added = confusion_matrix(out["prediction"], batch["target"], out["probabilities"].shape[1])
        self.matrix = added + self.matrix.to(added.device)

    def compute(self) -> dict[str, float]:
        return {"mutual_information": information.mutual_information(self.matrix.double()).item()}
