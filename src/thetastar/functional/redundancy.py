"""Losses that keep features from collapsing by their moments over a batch instead of by negatives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.functional.losses import full

EPS = 1e-5  # of a variance that is divided by, as in batch norm
FLOOR = 1e-4  # of a variance under a root


def cross_correlation(first: Tensor, second: Tensor) -> Tensor:
    """C_ij = 1/N Σ_b ẑ_bi ẑ'_bj with every entry standardised over the batch: in [−1, 1].

    Shapes: (batch, width)² → (width, width).
    """
    with torch.autocast(first.device.type, enabled=False):
        one, other = (_standardised(full(z)) for z in (first, second))
        return one.T @ other / len(first)


def _standardised(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    return centred * (centred.square().mean(0) + EPS).rsqrt()


def off_diagonal(matrix: Tensor) -> Tensor:
    """Σ_{i≠j} M²_ij."""
    return matrix.square().sum() - matrix.diagonal().square().sum()


def barlow(first: Tensor, second: Tensor, redundancy: float) -> Tensor:
    """Σ_i (1 − C_ii)² + λ Σ_{i≠j} C²_ij, C the cross-correlation of both views over the batch.

    Shapes: (batch, width)² → ().

    Source: Zbontar, Jing, Misra, LeCun and Deny 2021, Barlow Twins: self-supervised learning via redundancy reduction.
    """
    correlation = cross_correlation(first, second)
    return (1 - correlation.diagonal()).square().sum() + redundancy * off_diagonal(correlation)


def too_narrow(z: Tensor) -> Tensor:
    """1/d Σ_j max(0, 1 − √(Var z_j + ε)): by how much the deviations of the entries over the batch fall short of 1.

    Shapes: (batch, width) → ().
    """
    return F.relu(1 - (full(z).var(0) + FLOOR).sqrt()).mean()


def covaried(z: Tensor) -> Tensor:
    """1/d Σ_{i≠j} C²_ij with C the covariance of the entries over the batch.

    Shapes: (batch, width) → ().
    """
    with torch.autocast(z.device.type, enabled=False):
        centred = full(z) - full(z).mean(0)
        return off_diagonal(centred.T @ centred / (len(z) - 1)) / z.shape[1]
