"""Numbers as vectors: what lets a net of smooth layers bend sharply along a column.

Source: Gorishniy, Rubachev and Babenko 2022, On embeddings for numerical features in tabular deep learning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thetastar.protocols import Field


def bins_of(field: Field) -> tuple[tuple[float, ...], ...]:
    """Edges of the bins of each entry; where the data name none, eighths of a normal of the training moments."""
    if field.quantiles:
        return field.quantiles
    levels = torch.arange(1, 8, dtype=torch.float64) / 8
    steps = torch.special.ndtri(levels)
    moments = zip(field.mean, field.std, strict=True)
    return tuple(tuple((mean + std * steps).tolist()) if std > 0 else (mean,) for mean, std in moments)


class Bins(nn.Module):
    """x ↦ e with e_t = (x − b_{t−1}) / (b_t − b_{t−1}), cut off at 0 and 1 but beyond the outermost edges.

    How far x has come through each bin of its column; a column with fewer bins than T has zeros after them.

    Args:
        edges: b₀ < … < b_T of each column, at least two.

    Shapes: (batch, columns) → (batch, columns, T).
    """

    left: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, edges: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.most = max((len(column) - 1 for column in edges), default=0)
        left, scale, low, high = torch.zeros(4, len(edges), self.most, dtype=torch.float64)
        for j, column in enumerate(edges):
            cuts = torch.tensor(column, dtype=torch.float64)
            bins = len(cuts) - 1
            left[j, :bins], scale[j, :bins], high[j, :bins] = cuts[:-1], 1 / cuts.diff(), 1.0
            low[j, 0], high[j, bins - 1] = -math.inf, math.inf
        for name, value in {"left": left, "scale": scale, "low": low, "high": high}.items():
            self.register_buffer(name, value.float())

    def forward(self, x: Tensor) -> Tensor:
        travelled = (x[:, :, None] - self.left) * self.scale
        return torch.minimum(torch.maximum(travelled, self.low), self.high)


class Quantile(nn.Module):
    """x ↦ √3 (2 F(x) − 1), F the distribution function that is linear between the edges and gives each bin as much.

    Uniform on ±√3 over the training rows, so of mean 0 and variance 1; what lies beyond the edges is cut off.

    Args:
        edges: b₀ < … < b_T of each column, at least two.

    Shapes: (batch, columns) → (batch, columns).
    """

    count: Tensor

    def __init__(self, edges: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.bins = Bins(edges)
        self.register_buffer("count", torch.tensor([len(column) - 1.0 for column in edges]))

    def forward(self, x: Tensor) -> Tensor:
        share = self.bins(x).clamp(0.0, 1.0).sum(-1) / self.count
        return math.sqrt(3.0) * (2.0 * share - 1.0)


class Waves(nn.Module):
    """x ↦ [sin 2πc_j q_j(x), cos 2πc_j q_j(x)] for each column j: frequencies c_j learnt, q the quantile transform.

    Args:
        edges: b₀ < … < b_T of each column, at least two.
        frequencies: a column, ≥ 1.
        sigma: standard deviation of the frequencies at the start; larger ones bend more sharply.

    Shapes: (batch, columns) → (batch, columns, 2 · frequencies).
    """

    def __init__(self, edges: Sequence[Sequence[float]], *, frequencies: int, sigma: float) -> None:
        super().__init__()
        self.most = 2 * frequencies
        self.quantile = Quantile(edges)
        self.frequency = nn.Parameter(torch.randn(len(edges), frequencies) * sigma)

    def forward(self, x: Tensor) -> Tensor:
        angle = 2 * math.pi * self.frequency * self.quantile(x)[:, :, None]  # (batch, columns, frequencies)
        return torch.cat([angle.sin(), angle.cos()], -1)


class Columnwise(nn.Module):
    """e_j ↦ ReLU(W_j e_j + b_j): a small layer of its own for each column j.

    Shapes: (batch, columns, inputs) → (batch, columns · width).
    """

    def __init__(self, columns: int, inputs: int, width: int) -> None:
        super().__init__()
        bound = max(inputs, 1) ** -0.5
        self.weight = nn.Parameter(torch.empty(columns, inputs, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))

    def forward(self, e: Tensor) -> Tensor:
        return torch.relu(torch.einsum("nci,ciw->ncw", e, self.weight) + self.bias).flatten(1)
