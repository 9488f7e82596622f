"""Among how many equally likely answers a model hesitates."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.losses import cross_entropy
from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure

__all__ = ["perplexity"]


class perplexity(Measure):
    """exp(−(1/n) Σ log p(yᵢ | xᵢ)), ≥ 1: 1 is certainty of the right answer, q a guess among q.

    Of sequences the mean is over all tokens, however long each sequence is.

    Shapes: logits (batch, …, classes), target (batch, …) of classes.

    Source: Jelinek, Mercer, Bahl and Baker 1977, Perplexity: a measure of the difficulty of speech recognition tasks.
    """

    wants = frozenset({"logits"})
    kinds = frozenset({"category", "tokens"})
    higher_is_better = False

    def __init__(self) -> None:
        self.mean = RunningMean()

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        if "logits" not in out:
            raise UserError("perplexity of a method that gives no logits", "a classifier", "choose accuracy")
        logits, target = out["logits"], batch["target"]
        self.mean.take(cross_entropy(logits.flatten(0, -2), target.flatten()))

    def compute(self) -> dict[str, float]:
        mean = self.mean.value.item()
        return {"perplexity": math.exp(mean) if mean < 700 else math.inf}  # e⁷¹⁰ is beyond float64
