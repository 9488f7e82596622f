"""MixMatch: guess labels by several views, sharpen them, and mix all examples with one another."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.losses import cross_entropy, full
from thetastar.functional.mixing import beta_shares, blend, distributions
from thetastar.functional.nested import joined, mapped
from thetastar.functional.ramps import linear
from thetastar.functional.unlabelled import classes_of, disagreement, sharpened, together, unlabelled
from thetastar.layers.frozen import untraced
from thetastar.methods.semi_supervised import SemiSupervised
from thetastar.protocols import Aux, Batch, Clock, Model, Schema
from thetastar.registry import Fraction, NonNegative, Positive

__all__ = ["mixmatch"]


class mixmatch(SemiSupervised):
    """L = mean −log p(y'|x') over X' + λ(t) · mean ‖q' − p(·|u')‖² / classes over U'.

    q̄ = (p(·|u₁) + p(·|u₂)) / 2 of two views of u, q = q̄^{1/T} / Σ q̄^{1/T} the guess for both of them. With W all of
    (x, y), (u₁, q), (u₂, q) in a random order, each of them is mixed with one of W: x' = λ' x + (1 − λ') w, targets
    alike, λ' = max(λ, 1 − λ) with λ ~ Beta(α, α) of its own. So X' stays mostly labelled and U' mostly guessed. Guesses
    have no gradient and write no moments of batch norm, which sees X' and U' as one batch. λ(t) rises in a straight
    line.

    Args:
        temperature: T > 0; 1 leaves the guess as it is.
        alpha: α > 0, of Beta(α, α).
        weight: λ at last, ≥ 0.
        ramp: share of the run over which the weight of the unlabelled part rises, in [0, 1].

    Shapes: inputs (batch, …), views (unlabelled, …) → logits (batch, classes).

    Source: Berthelot, Carlini, Goodfellow, Papernot, Oliver and Raffel 2019, MixMatch: a holistic approach to
    semi-supervised learning.
    """

    kinds = frozenset({"image", "vector", "words"})  # what has a middle between two examples

    def __init__(
        self,
        *,
        temperature: Positive = 0.5,
        alpha: Positive = 0.75,
        weight: NonNegative = 75.0,
        ramp: Fraction = 0.3,
    ) -> None:
        super().__init__()
        self.temperature, self.alpha, self.weight, self.ramp = temperature, alpha, weight, ramp

    def attach(self, f: Model, schema: Schema) -> None:
        self.target = classes_of(schema, "mixmatch")

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        pair, y = unlabelled(batch, "mixmatch"), distributions(batch["target"], self.target)
        q = self.guess(f, pair)
        inputs, targets = self.mixed(joined([batch["input"], pair["input"], pair["view"]]), torch.cat([y, q, q]))
        labels, guesses = targets.split([len(y), 2 * len(q)])
        few, many = full(f(inputs)).split([len(y), 2 * len(q)])
        labelled = cross_entropy(few, labels, reduction="mean")
        guessed = disagreement(torch.softmax(many, -1), guesses).mean() / q.shape[1]
        log = {"labelled": labelled.detach(), "unlabelled": guessed.detach()}
        return labelled + self.weight * linear(t, self.ramp) * guessed, Aux(log=log)

    def guess(self, f: Model, pair: Batch) -> Tensor:
        """q of the unlabelled examples: (unlabelled, classes)."""
        with untraced(f):
            one, other = together(f, pair["input"], pair["view"])
            return sharpened((torch.softmax(one, -1) + torch.softmax(other, -1)) / 2, self.temperature)

    def mixed(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Each row with a random one of all, its own share at least a half."""
        partner = torch.randperm(len(targets), device=targets.device)
        share = beta_shares(len(targets), self.alpha, targets)
        share = torch.maximum(share, 1 - share)
        x = mapped(lambda part: blend(part, part[partner], share), inputs)
        return x, blend(targets, targets[partner], share)
