"""Pseudo-labels: take the most likely class of an unlabelled example for its label."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.losses import cross_entropy
from thetastar.functional.ramps import linear
from thetastar.functional.unlabelled import together, unlabelled
from thetastar.methods.semi_supervised import SemiSupervised
from thetastar.protocols import Aux, Batch, Clock, Model
from thetastar.registry import Fraction, NonNegative

__all__ = ["pseudo_labels"]


class pseudo_labels(SemiSupervised):
    """L = mean −log p(y|x) + α(t) · mean −log p(ŷ|u), ŷ = argmax p(·|u) taken anew at every step.

    α is 0 up to the share `start` of the run and rises in a straight line to `weight` a share `ramp` later: a net that
    knows nothing yet would only be confirmed in it. ŷ is a number and has no gradient.

    Args:
        weight: α at last, ≥ 0.
        start: share of the run before the unlabelled examples count, in [0, 1].
        ramp: share of the run over which the weight of the unlabelled part rises, in [0, 1].

    Shapes: inputs (batch, …), unlabelled (unlabelled, …) → logits (batch, classes).

    Source: Lee 2013, Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks.
    """

    def __init__(self, *, weight: NonNegative = 3.0, start: Fraction = 0.1, ramp: Fraction = 0.5) -> None:
        super().__init__()
        self.weight, self.start, self.ramp = weight, start, ramp

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        few, many = together(f, batch["input"], unlabelled(batch, "pseudo_labels")["input"])
        labelled = cross_entropy(few, batch["target"], reduction="mean")
        guessed = cross_entropy(many, many.detach().argmax(-1), reduction="mean")
        log = {"labelled": labelled.detach(), "unlabelled": guessed.detach()}
        return labelled + self.weight * linear(t, self.ramp, self.start) * guessed, Aux(log=log)
