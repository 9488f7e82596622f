"""FixMatch: what a weakly changed example is taken for with confidence, the strongly changed one must be taken for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.functional.losses import cross_entropy
from thetastar.functional.ramps import linear
from thetastar.functional.unlabelled import together, unlabelled
from thetastar.methods.semi_supervised import SemiSupervised
from thetastar.protocols import Aux, Batch, Clock, Model
from thetastar.registry import Fraction, NonNegative

__all__ = ["fixmatch"]


class fixmatch(SemiSupervised):
    """L = mean −log p(y|x) + λ(t) · mean 1[max q ≥ τ] · −log p(argmax q | S(u)), q = p(·|w(u)) without gradient.

    w is a weak change and S a strong one. The mean is over all unlabelled examples: those below the threshold count as
    0, so the weight of the others does not depend on how few they are. The trace shows their share as "confident". λ(t)
    rises in a straight line.

    Args:
        threshold: τ ≥ 0; above 1 no guess is ever taken.
        weight: λ at last, ≥ 0.
        ramp: share of the run over which the weight of the unlabelled part rises, in [0, 1].

    Shapes: inputs (batch, …), views (unlabelled, …) → logits (batch, classes).

    Source: Sohn et al. 2020, FixMatch: simplifying semi-supervised learning with consistency and confidence.
    """

    companions: Mapping[str, Any] = {"data": {"name": "few_labels", "views": "weak_strong"}}

    def __init__(self, *, threshold: NonNegative = 0.95, weight: NonNegative = 1.0, ramp: Fraction = 0.0) -> None:
        super().__init__()
        self.threshold, self.weight, self.ramp = threshold, weight, ramp

    @classmethod
    def example(cls) -> dict[str, Any]:
        # at the threshold of the paper no guess would count in a run of a second
        example = super().example()
        return {**example, "method": {"name": "fixmatch", "threshold": 0.4}}

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        pair = unlabelled(batch, "fixmatch")
        few, weak, strong = together(f, batch["input"], pair["input"], pair["view"])
        labelled = cross_entropy(few, batch["target"], reduction="mean")
        likely, guess = torch.softmax(weak.detach(), -1).max(-1)
        confident = (likely >= self.threshold).float()
        guessed = (confident * cross_entropy(strong, guess)).mean()
        log = {"labelled": labelled.detach(), "unlabelled": guessed.detach(), "confident": confident.mean()}
        return labelled + self.weight * linear(t, self.ramp) * guessed, Aux(log=log)
