"""Temporal ensembling: agree with what one has said of an example before."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.functional.losses import cross_entropy
from thetastar.functional.ramps import gaussian
from thetastar.functional.unlabelled import classes_of, disagreement, together, unlabelled, without_unlabelled
from thetastar.methods.semi_supervised import SemiSupervised
from thetastar.protocols import Aux, Batch, Clock, Model, Schema
from thetastar.registry import BelowOne, Fraction, NonNegative

__all__ = ["temporal_ensembling"]


class temporal_ensembling(SemiSupervised):
    """L = mean −log p(y|x) + w(t) · mean ‖z − z̃‖², z = p(·|u), z̃ = Z / (1 − αⁿ), and Z ← αZ + (1 − α)z after the step.

    Z remembers an average of what was said of u on the n times that it came up; it begins at 0, which the division
    mends. Before the first time there is nothing to agree with, and u counts as in agreement. z̃ has no gradient. w
    rises over the first `ramp` of the run as e^{−5(1 − s)²}.

    Args:
        momentum: α, in [0, 1).
        weight: w at last, ≥ 0. The paper's 100 divides the square by the classes: of ten of them it is 10 here. In a
            run of a dozen epochs what was said an epoch ago is old and holds f back: take less, and a longer ramp.
        ramp: share of the run over which the weight of the unlabelled part rises, in [0, 1].

    Shapes: inputs (batch, …), unlabelled (unlabelled, …) → logits (batch, classes); the memory is (rows, classes).

    Source: Laine and Aila 2017, Temporal ensembling for semi-supervised learning.
    """

    memory: Tensor
    times: Tensor

    def __init__(self, *, momentum: BelowOne = 0.6, weight: NonNegative = 10.0, ramp: Fraction = 0.3) -> None:
        super().__init__()
        self.momentum, self.weight, self.ramp = momentum, weight, ramp

    def attach(self, f: Model, schema: Schema) -> None:
        classes = classes_of(schema, "temporal_ensembling").classes
        if not schema.rows:
            raise without_unlabelled("temporal_ensembling")
        self.register_buffer("memory", torch.zeros(schema.rows, int(classes or 0)))
        self.register_buffer("times", torch.zeros(schema.rows, dtype=torch.int64))

    def remembered(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """z̃ of some rows, and whether they came up before: (unlabelled, classes), (unlabelled,)."""
        times = self.times[index]
        whole = 1 - self.momentum ** times.clamp_min(1).float()
        return self.memory[index] / whole[:, None], times > 0

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        part = unlabelled(batch, "temporal_ensembling")
        few, many = together(f, batch["input"], part["input"])
        labelled = cross_entropy(few, batch["target"], reduction="mean")
        z = torch.softmax(many, -1)
        before, known = self.remembered(part["index"])
        consistency = (known * disagreement(z, before)).mean()
        log = {"labelled": labelled.detach(), "consistency": consistency.detach()}
        carry = {"z": z.detach(), "index": part["index"]}
        return labelled + self.weight * gaussian(t, self.ramp) * consistency, Aux(log, carry)

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        z, index = (aux["loss"].carry[name] for name in ("z", "index"))
        self.memory.index_copy_(0, index, self.momentum * self.memory[index] + (1 - self.momentum) * z)
        self.times.index_add_(0, index, torch.ones_like(index))
