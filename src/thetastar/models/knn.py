"""The nearest neighbours of an example, as a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.gathering import gathered, label_logits, vote_logits
from thetastar.functional.keys import generator
from thetastar.layers.ends import Standardise, flat_size, known_target, only_input
from thetastar.protocols import Clock, Model, Schema, Stream
from thetastar.registry import Count, Positive

__all__ = ["knn"]

CELLS = 1 << 24  # of the table (queries, memory) held at once: 64 MiB in float32
SPARE = 16  # candidates beyond k whose distance is computed again in float64
CALIBRATED = 1000  # training examples at most that choose the prior
PRIORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class knn(Model):
    """k nearest neighbours: p(c | x) ∝ #{i among the k nearest of x: yᵢ = c} + λ/C; the neighbours' mean for numbers.

    Candidates are found by matrix products in float32 and ranked by their exact distances in float64; of rows at the
    same distance the first counts, of classes with as many votes the lowest. Images are compared as they are, entries
    of a table in units of their standard deviation.

    Args:
        schema: any input of one tensor.
        k: neighbours.
        metric: "l2" Euclidean, "l1" sum of absolute differences, "cosine" 1 − the cosine of the angle.
        prior: λ > 0, the weight in neighbours of one that is of every opinion: no probability is 0. null takes, for
            classes, the λ under which the training examples, each left out of its own neighbours, are most likely.

    Shapes: (batch, …) → (batch, outputs).

    Source: Cover and Hart 1967, Nearest neighbor pattern classification.
    """

    # it selects nothing: a split held out for selection would only cost it neighbours
    companions: ClassVar[Mapping[str, Any]] = {"method": "absorb", "data": {"valid": 0.0}}
    memory: Tensor
    answers: Tensor
    squares: Tensor
    smoothing: Tensor

    def __init__(
        self,
        schema: Schema,
        *,
        k: Count = 3,
        metric: Literal["l2", "l1", "cosine"] = "l2",
        prior: Positive | None = None,
    ) -> None:
        super().__init__()
        field, self.kind = only_input(schema, "knn"), known_target(schema, "knn").kind
        self.k, self.metric, self.prior, self.outputs = k, metric, prior, schema.outputs
        self.standardise = nn.Identity() if field.kind == "image" else Standardise(field)
        self.width = flat_size(field)
        self.head = nn.Identity()
        for name in ("memory", "answers", "squares"):
            self.register_buffer(name, None)
        self.register_buffer("smoothing", torch.tensor(prior or 1.0))

    def features(self, x: Tensor) -> Tensor:
        flat = self.standardise(x).flatten(1)
        return F.normalize(flat, dim=1) if self.metric == "cosine" else flat

    def absorb(self, stream: Stream, t: Clock) -> None:
        """Remember every training example."""
        x, self.answers = gathered(stream, "train", t)
        if len(x) < self.k:
            raise UserError(
                f"model.k={self.k} with {len(x)} training examples", "at most as many neighbours", "lower model.k"
            )
        self.memory = self.features(x)
        self.squares = self.memory.square().sum(1)
        if self.prior is None and self.kind == "category" and len(x) > self.k:
            self.smoothing = self._likeliest_prior(sampled(len(x), t.seed).to(x.device))

    def _likeliest_prior(self, own: Tensor) -> Tensor:
        """λ that maximises the leave-one-out likelihood of these rows of the memory."""
        near = self._in_parts(self.memory[own], self.k + 1)
        others = near != own[:, None]  # a twin at distance 0 may stand before the example itself
        others &= others.cumsum(1) <= self.k
        votes = (F.one_hot(self.answers[near], self.outputs) * others[..., None]).sum(1)
        costs = [F.cross_entropy(vote_logits(votes, self.k, prior), self.answers[own]) for prior in PRIORS]
        return torch.tensor(PRIORS[int(torch.stack(costs).argmin())], device=self.memory.device)

    def forward(self, x: Tensor) -> Tensor:
        answers = self.answers[self.neighbours(x)]  # (batch, k, …)
        if self.kind == "number":
            return answers.mean(1)
        if self.kind == "categories":
            return label_logits(answers.sum(1), self.k, self.smoothing)
        return vote_logits(F.one_hot(answers, self.outputs).sum(1), self.k, self.smoothing)

    def neighbours(self, x: Tensor) -> Tensor:
        """(batch, …) → (batch, k) rows of the memory, nearest first."""
        if self.memory is None:
            raise UserError("knn has no memory yet", "a trained model", "train it with method absorb")
        return self._in_parts(self.features(x), self.k)

    def _in_parts(self, queries: Tensor, k: int) -> Tensor:
        step = max(1, min(CELLS // len(self.memory), CELLS // (self.width * (k + SPARE))))
        return torch.cat([self._nearest(part, k) for part in queries.split(step)])

    def _nearest(self, queries: Tensor, k: int) -> Tensor:
        if self.metric == "l1":
            coarse = torch.cdist(queries, self.memory, p=1)
        else:  # ‖q − m‖² / 2 without what is the same for all m
            coarse = torch.addmm(self.squares / 2, queries, self.memory.T, alpha=-1)
        candidates = coarse.topk(min(k + SPARE, len(self.memory)), largest=False).indices.sort().values
        difference = self.memory[candidates].double() - queries[:, None].double()  # (batch, candidates, width)
        exact = difference.abs().sum(2) if self.metric == "l1" else difference.square().sum(2)
        return candidates.gather(1, exact.argsort(dim=1, stable=True)[:, :k])


def sampled(rows: int, seed: int) -> Tensor:
    """At most a thousand of the rows at random: in whatever order they are stored, each class gets its share."""
    return torch.randperm(rows, generator=generator(seed, "prior"))[:CALIBRATED].sort().values
