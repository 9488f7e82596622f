"""Entropy minimisation: decide, also where nobody says how."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.information import entropy
from thetastar.functional.losses import cross_entropy
from thetastar.functional.ramps import gaussian
from thetastar.functional.unlabelled import together, unlabelled
from thetastar.methods.semi_supervised import SemiSupervised
from thetastar.protocols import Aux, Batch, Clock, Model
from thetastar.registry import Fraction, NonNegative

__all__ = ["entropy_minimisation"]


class entropy_minimisation(SemiSupervised):
    """L = mean −log p(y|x) + λ(t) · mean H(p(·|u)), H(p) = −Σ_c p_c log p_c.

    A boundary between classes that runs through a crowd of examples costs entropy, one through empty space does not.
    The gradient is that of H, through p as through log p: to hold one of them fixed is another method. λ rises over the
    first `ramp` of the run as e^{−5(1 − s)²}.

    Args:
        weight: λ at last, ≥ 0.
        ramp: share of the run over which the weight of the unlabelled part rises, in [0, 1].

    Shapes: inputs (batch, …), unlabelled (unlabelled, …) → logits (batch, classes).

    Source: Grandvalet and Bengio 2005, Semi-supervised learning by entropy minimization.
    """

    def __init__(self, *, weight: NonNegative = 1.0, ramp: Fraction = 0.3) -> None:
        super().__init__()
        self.weight, self.ramp = weight, ramp

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        few, many = together(f, batch["input"], unlabelled(batch, "entropy_minimisation")["input"])
        labelled = cross_entropy(few, batch["target"], reduction="mean")
        undecided = entropy(many, logits=True).mean()
        log = {"labelled": labelled.detach(), "entropy": undecided.detach()}
        return labelled + self.weight * gaussian(t, self.ramp) * undecided, Aux(log=log)
