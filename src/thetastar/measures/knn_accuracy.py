"""What the neighbours of an example's features say of its class: a probe that learns nothing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.protocols import Batch, Measure
from thetastar.registry import Count, Positive

__all__ = ["knn_accuracy"]

CELLS = 1 << 24  # of the table (queries, examples) held at once: 64 MiB in float32


class knn_accuracy(Measure):
    """(1/n) Σ 1[ŷᵢ = yᵢ], ŷᵢ = argmax_c Σ_{j among the k nearest of i, yⱼ = c} exp(cos(zᵢ, zⱼ) / τ), in [0, 1].

    The neighbours of an example are the other examples of the same split, itself left out, so no training example is
    needed and none of another split is seen; with all training examples to choose from the figure would be higher. At
    most as many neighbours vote as there are other examples; of equal votes the lowest class wins. Features and
    classes of the split are kept until the end.

    Args:
        k: neighbours that vote; 200 in the paper, among 1.28 million.
        temperature: τ > 0.

    Shapes: features (batch, …), target (batch,).

    Source: Wu, Xiong, Yu and Lin 2018, Unsupervised feature learning via non-parametric instance discrimination.
    """

    wants = frozenset({"features"})
    kinds = frozenset({"category"})

    def __init__(self, *, k: Count = 20, temperature: Positive = 0.07) -> None:
        self.k, self.temperature = k, temperature
        self.features: list[Tensor] = []
        self.targets: list[Tensor] = []

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        self.features.append(F.normalize(out["features"].detach().flatten(1).float(), dim=1))
        self.targets.append(batch["target"])

    def compute(self) -> dict[str, float]:
        rows = sum(map(len, self.targets))
        if rows < 2:
            return {"knn_accuracy": float("nan")}
        z, target = torch.cat(self.features), torch.cat(self.targets)
        own = torch.arange(rows, device=z.device)
        right = [self.said(z, target, part) == target[part] for part in own.split(max(1, CELLS // rows))]
        return {"knn_accuracy": float(torch.cat(right).double().mean())}

    def said(self, z: Tensor, target: Tensor, queries: Tensor) -> Tensor:
        """The class that the neighbours of these rows vote for."""
        cosines = (z[queries] @ z.T).scatter(1, queries[:, None], -torch.inf)  # (queries, rows)
        nearest, index = cosines.topk(min(self.k, len(z) - 1))
        weights = ((nearest - nearest[:, :1]) / self.temperature).exp()  # the nearest has 1: any τ stays finite
        votes = weights.new_zeros(len(queries), int(target.max()) + 1).scatter_add_(1, target[index], weights)
        return votes.argmax(1)
