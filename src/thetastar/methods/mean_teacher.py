"""Mean teacher: agree with a slow copy of oneself where there are no labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.functional.losses import cross_entropy, full
from thetastar.functional.predictions import from_output
from thetastar.functional.ramps import gaussian
from thetastar.functional.unlabelled import disagreement, together, unlabelled
from thetastar.layers.frozen import Frozen
from thetastar.methods.semi_supervised import SemiSupervised
from thetastar.protocols import Aux, Batch, Clock, Model, Schema
from thetastar.registry import BelowOne, Fraction, NonNegative

__all__ = ["mean_teacher"]


class mean_teacher(SemiSupervised):
    """L = mean −log p(y|x) + w(t) · mean ‖p(·|u) − p'(·|u')‖², u and u' two views of an unlabelled example.

    The teacher p' is a moving average of f: θ' ← m θ' + (1 − m) θ with m = min(momentum, 1 − 1/(t + 2)) after step t, a
    plain average at first. w rises over the first `ramp` of the run as e^{−5(1 − s)²}. The teacher is what predicts.

    Args:
        momentum: largest m, in [0, 1). The teacher is about 1/(1 − m) steps behind: let them be few in the run.
        weight: w at last, ≥ 0.
        ramp: share of the run over which the weight of the unlabelled part rises, in [0, 1].

    Shapes: inputs (batch, …), views (unlabelled, …) → logits (batch, classes).

    Source: Tarvainen and Valpola 2017, Mean teachers are better role models.
    """

    def __init__(self, *, momentum: BelowOne = 0.99, weight: NonNegative = 10.0, ramp: Fraction = 0.3) -> None:
        super().__init__()
        self.momentum, self.weight, self.ramp = momentum, weight, ramp

    def attach(self, f: Model, schema: Schema) -> None:
        super().attach(f, schema)
        self.teacher = Frozen(f)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        pair = unlabelled(batch, "mean_teacher")
        few, many = together(f, batch["input"], pair["input"])
        labelled = cross_entropy(few, batch["target"], reduction="mean")
        teacher = torch.softmax(full(self.teacher(pair["view"])), -1)
        consistency = disagreement(torch.softmax(many, -1), teacher).mean()
        log = {"labelled": labelled.detach(), "consistency": consistency.detach()}
        return labelled + self.weight * gaussian(t, self.ramp) * consistency, Aux(log=log)

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        self.teacher.follow(f, min(self.momentum, 1 - 1 / (t.step + 2)))

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        assert isinstance(self.teacher.module, Model)
        return from_output(self.teacher.module, batch, wants, "category")
