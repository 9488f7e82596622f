"""Naive Bayes in closed form: multinomial for counts of words, Gaussian for measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.gathering import gathered
from thetastar.layers.ends import flat_size, known_target, only_input
from thetastar.protocols import Clock, Model, Schema, Stream
from thetastar.registry import Positive

__all__ = ["naive_bayes"]


class naive_bayes(Model):
    """Naive Bayes: p(c | x) ∝ p(c) Π_j p(x_j | c), as if the entries of x were independent within a class.

    multinomial: log p(x | c) = Σ_j x_j log θ_cj, θ_cj = (N_cj + α) / (N_c + α d), N_cj the sum of x_j over class c.
    gaussian:    log p(x | c) = −½ Σ_j (log 2π v_cj + (x_j − μ_cj)² / v_cj), with the class's moments.
    Of several labels an example, each is there or not by itself. p(c) is the share in training; a class that is absent
    from it keeps the share of a fraction of one row.

    Args:
        schema: any input of one tensor; classes or labels.
        likelihood: "auto" is multinomial for weights of words and for whole numbers ≥ 0 of which most are 0 (counts,
            one-hot columns), else Gaussian.
        alpha: α > 0, added to every count; multinomial only.
        smoothing: share of the largest variance of all entries that is added to every variance, > 0; Gaussian only.

    Shapes: (batch, …) → (batch, classes) log-probabilities, or (batch, labels) log-odds, in float64.

    Source: Maron 1961, Automatic indexing: an experimental inquiry; McCallum and Nigam 1998, A comparison of event
    models for naive Bayes text classification.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "absorb"}
    share: Tensor
    weight: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        schema: Schema,
        *,
        likelihood: Literal["auto", "multinomial", "gaussian"] = "auto",
        alpha: Positive = 1.0,
        smoothing: Positive = 1e-9,
    ) -> None:
        super().__init__()
        field, target = only_input(schema, "naive_bayes"), known_target(schema, "naive_bayes")
        if target.kind == "number":
            raise UserError("naive_bayes on a regression task", "classes or labels", "choose linear")
        self.labels, self.outputs, self.words = target.kind == "categories", schema.outputs, field.kind == "words"
        self.likelihood, self.alpha, self.smoothing = likelihood, alpha, smoothing
        self.width = flat_size(field)
        self.head = nn.Identity()
        for name in ("share", "weight", "mean", "variance"):
            self.register_buffer(name, None)

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1).double()

    def absorb(self, stream: Stream, t: Clock) -> None:
        """Sums over the training split, class by class; of a label, over the rows without and with it."""
        x, y = gathered(stream, "train", t)
        x = self.features(x)
        # (rows, classes), or (rows, 2 labels) with "not there" before "there"
        member = torch.stack([1 - y, y], 2).flatten(1) if self.labels else F.one_hot(y, self.outputs)
        member = member.double()
        counts = member.sum(0)
        absent = 1 / (len(x) * member.shape[1])
        self.share = torch.log(torch.where(counts > 0, counts, counts.new_tensor(absent)) / len(x))
        if self._is_multinomial(x):
            totals = member.T @ x + self.alpha  # (classes, entries)
            self.weight = torch.log(totals) - torch.log(totals.sum(1, keepdim=True))
        else:
            self.mean, self.variance = self._moments(x, member, counts)

    def _is_multinomial(self, x: Tensor) -> bool:
        if self.likelihood != "auto":
            if self.likelihood == "multinomial" and (x < 0).any():
                raise UserError(
                    f"multinomial naive_bayes on negative entries ({x.min():g})",
                    "counts or weights ≥ 0",
                    "set model.likelihood=gaussian",
                )
            return self.likelihood == "multinomial"
        return self.words or bool((x >= 0).all() and (x == x.round()).all() and (x == 0).double().mean() > 0.5)

    def _moments(self, x: Tensor, member: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """(classes, entries) mean and variance; those of all rows for a class without any."""
        added = self.smoothing * float(x.var(0, correction=0).max())
        mean, variance = [], []
        for column, count in zip(member.T, counts, strict=True):
            rows = x[column > 0] if count else x
            mean.append(rows.mean(0))
            variance.append(rows.var(0, correction=0) + added)
        return torch.stack(mean), torch.stack(variance)

    def forward(self, x: Tensor) -> Tensor:
        if self.share is None:
            raise UserError("naive_bayes knows no data yet", "a trained model", "train it with method absorb")
        joint = self.share + self._log_likelihood(self.features(x))
        if self.labels:
            without, with_ = joint.reshape(len(x), -1, 2).unbind(2)
            return with_ - without
        return torch.log_softmax(joint, 1)

    def _log_likelihood(self, x: Tensor) -> Tensor:
        """(batch, entries) → (batch, classes), class by class: no table of batch × classes × entries is made."""
        if self.weight is not None:
            return x @ self.weight.T
        columns = [
            ((x - mean).square() / variance).sum(1) + torch.log(2 * math.pi * variance).sum()
            for mean, variance in zip(self.mean, self.variance, strict=True)
        ]
        return -0.5 * torch.stack(columns, 1)
