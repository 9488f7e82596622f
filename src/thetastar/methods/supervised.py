"""Learning from labelled examples: the empirical risk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional import losses, masks
from thetastar.functional.predictions import from_output
from thetastar.protocols import Aux, Batch, Clock, Model, Objective, Schema, trainable
from thetastar.registry import BelowOne

__all__ = ["supervised"]

LossName = Literal[
    "auto",
    "cross_entropy",
    "kl",
    "binary_cross_entropy",
    "hinge",
    "perceptron",
    "exponential",
    "logistic",
    "squared",
    "absolute",
    "huber",
    "gaussian_nll",
    "dice",
    "cross_entropy+dice",
]
_margins = ("hinge", "perceptron", "exponential", "logistic")
# the losses that fit a kind of target, the default first
_losses: dict[str, tuple[str, ...]] = {
    "category": ("cross_entropy", "kl", *_margins),
    "categories": ("binary_cross_entropy", *_margins),
    "number": ("squared", "absolute", "huber", "gaussian_nll"),
    "mask": ("cross_entropy", "dice", "cross_entropy+dice"),
}


class supervised(Objective):
    """R(θ) = Σᵢ w(yᵢ) ℓ(f_θ(xᵢ), yᵢ) / Σᵢ w(yᵢ).

    Numbers are compared in units of the target's standard deviation, so that one learning rate suits all. Of masks the
    sum is over pixels that are not void; "dice" is one number an image, which counts by its pixels.

    Args:
        loss: ℓ by name; "auto" is cross-entropy for classes and masks, binary cross-entropy for several labels, squared
            for numbers. "gaussian_nll" learns one noise variance an output beside f: squared error as maximum
            likelihood.
        label_smoothing: share of the target spread evenly over the classes, in [0, 1); cross-entropy only.
        class_weights: "balanced" weighs classes by n / (classes · n_class); classes and pixels of classes only.

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
        self.log_variance: nn.Parameter | None = None

    def attach(self, f: Model, schema: Schema) -> None:
        target = schema.target
        if target is None:
            raise UserError("supervised learning without a target", "a target", "name one with --target")
        self.kind = target.kind
        self.loss_name = chosen_loss(self.loss_name, target.kind)
        if self.smoothing and not self.loss_name.startswith("cross_entropy"):
            raise UserError(f"label_smoothing with loss {self.loss_name}", "cross_entropy", "set label_smoothing=0")
        if not trainable(f=f):
            raise UserError(
                f"supervised with {type(f).__name__}, which has no weights to step",
                "a model with weights",
                "choose method absorb",
            )
        if target.kind == "number" and target.std:
            self.scale = 1.0 / torch.tensor(target.std).clamp_min(1e-12).reshape(target.shape or ())
        if self.loss_name == "gaussian_nll":
            self.log_variance = nn.Parameter(torch.zeros(target.shape))
        if self.class_weights == "balanced":
            if not target.counts:
                raise UserError(f"class_weights=balanced on a {schema.task} task", "classes", "set class_weights=none")
            if self.loss_name == "dice":
                raise UserError("class_weights=balanced with dice", "cross_entropy", "leave it out: dice is balanced")
            counts = torch.tensor(target.counts, dtype=torch.float32)
            self.weights = counts.sum() / (len(counts) * counts.clamp_min(1))

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        (share, output), *sides = f.heads(batch["input"])
        risk, aux = self.risk(output, batch["target"])
        total = risk if share == 1 else share * risk
        for share, output in sides:
            total = total + share * self.risk(output, batch["target"])[0]
        return total, aux

    def risk(self, output: Tensor, target: Tensor) -> tuple[Tensor, Aux]:
        """R of the outputs for a batch."""
        if self.kind == "mask":
            return self.of_pixels(output, target)
        if self.loss_name == "cross_entropy" and self.weights is None:
            # the mean in the same kernel: apart, it would cost a twenty-fifth of a small net's step
            return losses.cross_entropy(output, target, self.smoothing, "mean"), Aux()
        per_example = self.per_example(output, target)
        if self.weights is None:
            return per_example.mean(), Aux()
        weight = self.weights[target] if target.ndim == 1 else target @ self.weights
        return (weight * per_example).sum() / weight.sum(), Aux(weight=weight.sum())

    def of_pixels(self, logits: Tensor, mask: Tensor) -> tuple[Tensor, Aux]:
        """R over the pixels that are not void.

        Shapes: logits (batch, classes, height, width), mask (batch, height, width).
        """
        counted = masks.known(mask)
        weight = counted.float() if self.weights is None else self.weights[mask.where(counted, 0)] * counted
        risk = logits.new_zeros((), dtype=torch.float32)
        if self.loss_name.startswith("cross_entropy"):
            risk = risk + (weight * masks.cross_entropies(logits, mask, self.smoothing)).sum()
        if self.loss_name.endswith("dice"):
            risk = risk + (weight.sum((1, 2)) * masks.dice(logits, mask)).sum()
        total = weight.sum().clamp_min(1e-12)  # a batch may be all void
        return risk / total, Aux(weight=total)

    def per_example(self, output: Tensor, target: Tensor) -> Tensor:
        """(batch, …) outputs and targets → (batch,) losses."""
        if self.kind == "number":
            output, target = output * self.scale, target * self.scale
        function = getattr(losses, self.loss_name)
        if self.kind == "category" and target.ndim == 2 and self.loss_name in _margins:
            return expected(function, output, target)
        if self.log_variance is not None:
            return function(output, target, self.log_variance)
        if self.loss_name == "cross_entropy":
            return function(output, target, self.smoothing)
        return function(output, target)

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        return from_output(f, batch, wants, self.kind)


def expected(loss: Callable[[Tensor, Tensor], Tensor], output: Tensor, target: Tensor) -> Tensor:
    """Σ_c y_c ℓ(z, c): a loss of classes under a distribution over them.

    Shapes: output and target (batch, classes) → (batch,).
    """
    each = [loss(output, torch.full_like(target[:, 0], c, dtype=torch.int64)) for c in range(target.shape[1])]
    return (target * torch.stack(each, 1)).sum(1)


def chosen_loss(name: str, kind: str) -> str:
    """The loss by name, or the default for a kind of target; refuses one that does not fit."""
    fitting = _losses.get(kind)
    if fitting is None:
        raise UserError(
            f"supervised with {kind} targets", f"a target of kind {', '.join(_losses)}", "choose another method"
        )
    if name == "auto":
        return fitting[0]
    if name not in fitting:
        raise UserError(
            f"loss {name} with a target of kind {kind}", f"one of {', '.join(fitting)}", f"choose {fitting[0]}"
        )
    return name
