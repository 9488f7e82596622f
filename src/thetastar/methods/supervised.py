"""Learning from labelled examples: the empirical risk."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional import losses
from thetastar.functional.predictions import from_output
from thetastar.protocols import Aux, Batch, Clock, Model, Objective, Schema
from thetastar.registry import BelowOne

__all__ = ["supervised"]

LossName = Literal["auto", "cross_entropy", "binary_cross_entropy", "squared", "absolute", "hinge"]
_by_target = {"category": "cross_entropy", "categories": "binary_cross_entropy", "number": "squared"}


class supervised(Objective):
    """R(θ) = Σᵢ w(yᵢ) ℓ(f_θ(xᵢ), yᵢ) / Σᵢ w(yᵢ).

    Args:
        loss: ℓ by name; "auto" is cross-entropy for classes, binary cross-entropy for several labels, squared for numbers.
        label_smoothing: share of the target spread evenly over the classes, in [0, 1); cross-entropy only.
        class_weights: "balanced" weighs classes by n / (classes · n_class).

    Source: Vapnik 1992, Principles of risk minimization for learning theory.
    """

    def __init__(
        self,
        *,
        loss: LossName = "auto",
        label_smoothing: BelowOne = 0.0,
        class_weights: Literal["none", "balanced"] = "none",
    ) -> None:
        super().__init__()
        self.loss_name, self.smoothing, self.class_weights = loss, label_smoothing, class_weights
        self.register_buffer("weights", None)
        self.register_buffer("scale", torch.ones(()))

    def attach(self, f: Model, schema: Schema) -> None:
        target = schema.target
        if target is None:
            raise UserError("supervised learning without a target", "a target", "name one with --target")
        if self.loss_name == "auto":
            self.loss_name = _by_target[target.kind]
        self.kind = target.kind
        if target.kind == "number" and target.std:
            # numbers are compared in units of their standard deviation, so that one learning rate suits all
            self.scale = 1.0 / torch.tensor(target.std).clamp_min(1e-12).reshape(target.shape or ())
        if self.class_weights == "balanced" and target.counts:
            counts = torch.tensor(target.counts, dtype=torch.float32)
            self.weights = counts.sum() / (len(counts) * counts.clamp_min(1))

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        output, target = f(batch["input"]), batch["target"]
        per_example = self.per_example(output, target)
        if self.weights is None:
            return per_example.mean(), Aux()
        weight = self.weights[target]
        return (weight * per_example).sum() / weight.sum(), Aux(weight=weight.sum())

    def per_example(self, output: Tensor, target: Tensor) -> Tensor:
        """(batch, …) outputs and targets → (batch,) losses."""
        if self.kind == "number":
            output, target = output * self.scale, target * self.scale
        function = getattr(losses, self.loss_name)
        if self.loss_name == "cross_entropy" and self.smoothing:
            return function(output, target, self.smoothing)
        return function(output, target)

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        return from_output(f, batch, wants, self.kind)
