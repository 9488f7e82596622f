"""Clusters as a classifier or regressor: found without the target, named by it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.gathering import gathered, label_logits, vote_logits
from thetastar.functional.keys import mix
from thetastar.layers.ends import Standardise, flat_size, known_target, only_input
from thetastar.protocols import Clock, Model, Schema, Stream
from thetastar.registry import Count, Positive

__all__ = ["kmeans"]


class kmeans(Model):
    """k-means: min_μ Σᵢ ‖xᵢ − μ_{a(i)}‖², a(i) the nearest centre; then each cluster answers with what its rows have.

    Centres start far apart (k-means++) and move to their clusters' means in turn (Lloyd). They never see the target:
    how well the answers fit says how far classes are clusters. The answer of a cluster of n rows is their mean, or
    their class shares smoothed as (n_c + λ/C) / (n + λ). Images are compared as they are, entries of a table in units
    of their standard deviation.

    Args:
        schema: any input of one tensor.
        clusters: k; null is √rows, at least two a class or label.
        restarts: from other starting centres; the lowest sum of squares is kept.
        prior: λ > 0, the weight in rows of one that is of every opinion.

    Shapes: (batch, …) → (batch, outputs).

    Source: Lloyd 1982, Least squares quantization in PCM; Arthur and Vassilvitskii 2007, k-means++: the advantages of
    careful seeding.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "absorb"}
    centres: Tensor
    sizes: Tensor
    answers: Tensor

    def __init__(
        self, schema: Schema, *, clusters: Count | None = None, restarts: Count = 1, prior: Positive = 1.0
    ) -> None:
        super().__init__()
        field, target = only_input(schema, "kmeans"), known_target(schema, "kmeans")
        self.kind, self.shape, self.outputs = target.kind, target.shape, schema.outputs
        self.clusters, self.restarts, self.prior = clusters, restarts, prior
        self.standardise = nn.Identity() if field.kind == "image" else Standardise(field)
        self.width = flat_size(field)
        self.head = nn.Identity()
        for name in ("centres", "sizes", "answers"):
            self.register_buffer(name, None)

    def features(self, x: Tensor) -> Tensor:
        return self.standardise(x).flatten(1).double()

    def absorb(self, stream: Stream, t: Clock) -> None:
        """Cluster the training inputs, then sum the targets of each cluster."""
        from sklearn.cluster import KMeans

        x, y = gathered(stream, "train", t)
        rows = self.features(x)
        most = len(rows.unique(dim=0))
        if self.clusters is not None and self.clusters > most:
            got = f"model.clusters={self.clusters} with {most:,} different training examples"
            raise UserError(got, "at most as many clusters", "lower model.clusters")
        wanted = max(round(math.sqrt(len(rows))), 1 if self.kind == "number" else 2 * self.outputs)
        k = self.clusters or min(wanted, most)
        options: dict[str, Any] = {"n_init": self.restarts, "random_state": mix(t.seed, "kmeans") % 2**32}
        found = KMeans(k, **options).fit(rows.cpu().numpy())
        self.centres = torch.as_tensor(found.cluster_centers_, device=x.device)
        cluster = self.nearest(x)
        values = F.one_hot(y, self.outputs) if self.kind == "category" else y.reshape(len(y), -1)
        self.sizes = torch.bincount(cluster, minlength=k).double()
        self.answers = torch.zeros(k, self.outputs, dtype=torch.float64, device=x.device)
        self.answers.index_add_(0, cluster, values.double())

    def nearest(self, x: Tensor) -> Tensor:
        """(batch, …) → (batch,) the cluster of each; of centres at the same distance the first."""
        if self.centres is None:
            raise UserError("kmeans has no clusters yet", "a trained model", "train it with method absorb")
        # ‖x − μ‖² / 2 without what is the same for all centres
        return torch.addmm(self.centres.square().sum(1) / 2, self.features(x), self.centres.T, alpha=-1).argmin(1)

    def forward(self, x: Tensor) -> Tensor:
        cluster = self.nearest(x)
        answers, sizes = self.answers[cluster], self.sizes[cluster, None]
        if self.kind == "number":
            return (answers / sizes).reshape(len(x), *self.shape)
        return (label_logits if self.kind == "categories" else vote_logits)(answers, sizes, self.prior)
