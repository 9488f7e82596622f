"""The Π-model: say the same of two views of an example."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.losses import cross_entropy
from thetastar.functional.ramps import gaussian
from thetastar.functional.unlabelled import disagreement, together, unlabelled
from thetastar.methods.semi_supervised import SemiSupervised
from thetastar.protocols import Aux, Batch, Clock, Model
from thetastar.registry import Fraction, NonNegative

__all__ = ["pi_model"]


class pi_model(SemiSupervised):
    """L = mean −log p(y|x) + w(t) · mean ‖p(·|u) − p(·|u')‖², u and u' two views of an unlabelled example.

    Both sides are the network of now, each with dropout of its own, and the gradient passes through both. w rises over
    the first `ramp` of the run as e^{−5(1 − s)²}.

    Args:
        weight: w at last, ≥ 0. The paper's 100 divides the square by the classes: of ten of them it is 10 here.
        ramp: share of the run over which the weight of the unlabelled part rises, in [0, 1].

    Shapes: inputs (batch, …), views (unlabelled, …) → logits (batch, classes).

    Source: Laine and Aila 2017, Temporal ensembling for semi-supervised learning.
    """

    def __init__(self, *, weight: NonNegative = 10.0, ramp: Fraction = 0.3) -> None:
        super().__init__()
        self.weight, self.ramp = weight, ramp

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        pair = unlabelled(batch, "pi_model")
        few, one, other = together(f, batch["input"], pair["input"], pair["view"])
        labelled = cross_entropy(few, batch["target"], reduction="mean")
        consistency = disagreement(torch.softmax(one, -1), torch.softmax(other, -1)).mean()
        log = {"labelled": labelled.detach(), "consistency": consistency.detach()}
        return labelled + self.weight * gaussian(t, self.ramp) * consistency, Aux(log=log)
