"""Mean teacher: agree with a slow copy of oneself where there are no labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.losses import full
from thetastar.functional.predictions import from_output
from thetastar.layers.frozen import Frozen
from thetastar.protocols import Aux, Batch, Clock, Model, Objective, Schema
from thetastar.registry import BelowOne, Fraction, NonNegative

__all__ = ["mean_teacher"]


class mean_teacher(Objective):
    """L = mean −log p(y|x) + w(t) · mean ‖p(·|u) − p'(·|u')‖², u and u' two views of an unlabelled example.

    The teacher p' is a moving average of f: θ' ← m θ' + (1 − m) θ with m = min(momentum, 1 − 1/(t + 2)) after step t, a
    plain average at first. w rises over the first `ramp` of the run as e^{−5(1 − s)²}. The teacher is what predicts.

    Args:
        momentum: largest m, in [0, 1).
        consistency: w after the ramp, ≥ 0.
        ramp: share of the run over which w rises, in [0, 1].

    Shapes: inputs (batch, …), views (unlabelled, …) → logits (batch, classes).

    Source: Tarvainen and Valpola 2017, Mean teachers are better role models.
    """

    reads = ("input", "target", "unlabelled")
    companions: Mapping[str, Any] = {"data": {"name": "few_labels"}}

    def __init__(self, *, momentum: BelowOne = 0.99, consistency: NonNegative = 10.0, ramp: Fraction = 0.3) -> None:
        super().__init__()
        self.momentum, self.consistency, self.ramp = momentum, consistency, ramp

    @classmethod
    def example(cls) -> dict[str, Any]:
        data = {"name": "few_labels", "source": "bars", "labels": 16}
        return {"data": data, "model": {"name": "mlp", "widths": [16]}, "method": "mean_teacher"}

    def attach(self, f: Model, schema: Schema) -> None:
        if schema.target is None or schema.target.kind != "category":
            raise UserError(f"mean_teacher on {schema.task}", "classes", "choose another method")
        self.teacher = Frozen(f)

    def weight(self, t: Clock) -> float:
        """w(t)."""
        s = min(t.progress / self.ramp, 1.0) if self.ramp else 1.0
        return self.consistency * math.exp(-5 * (1 - s) ** 2)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        if "unlabelled" not in batch:
            do = "write data={name: few_labels, source: …}"
            raise UserError("mean_teacher on data without unlabelled examples", "both kinds", do)
        labelled = F.cross_entropy(full(f(batch["input"])), batch["target"])
        pair = batch["unlabelled"]
        student = torch.softmax(full(f(pair["input"])), -1)
        teacher = torch.softmax(full(self.teacher(pair["view"])), -1)
        consistency = (student - teacher).square().sum(-1).mean()
        return labelled + self.weight(t) * consistency, Aux(
            log={"labelled": labelled.detach(), "consistency": consistency.detach()}
        )

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        self.teacher.follow(f, min(self.momentum, 1 - 1 / (t.step + 2)))

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        assert isinstance(self.teacher.module, Model)
        return from_output(self.teacher.module, batch, wants, "category")
