"""Soft assignments of examples to prototypes, and the loss that has one view predict the assignment of another."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.losses import full


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, rounds: int) -> Tensor:
    """Q = B · argmax ⟨Q, S⟩ + ε H(Q) over Q ≥ 0 of equal marginals: rows sum to 1, columns to rows / columns.

    Q is diag(u) e^{S/ε} diag(v); u and v are found by normalising columns and rows in turn, on logarithms. The rows
    come last and sum to one after any number of rounds; the columns have their sums in the limit.

    Args:
        scores: S, larger where an example is closer to a prototype.
        epsilon: ε > 0; small for assignments that are nearly hard.
        rounds: of normalising both, ≥ 1.

    Shapes: (batch, prototypes) → the same.

    Source: Cuturi 2013, Sinkhorn distances: lightspeed computation of optimal transport; Caron et al. 2020.
    """
    log_q = full(scores) / epsilon
    for _ in range(rounds):
        log_q = log_q - log_q.logsumexp(0)
        log_q = log_q - log_q.logsumexp(1, keepdim=True)
    return log_q.exp()


def sharpened(logits: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """softmax((z − c) / τ): c keeps one entry from dominating, a small τ keeps all from being equal.

    Shapes: (…, outputs), (outputs,) → (…, outputs).

    Source: Caron et al. 2021, Emerging properties in self-supervised vision transformers.
    """
    return torch.softmax((full(logits) - centre) / temperature, -1)


def swapped(targets: Tensor, log_p: Tensor) -> Tensor:
    """−Σ_k q_k^i log p_k^v, averaged over all pairs of a view i with a target and another view v ≠ i.

    Args:
        targets: q of the first views.
        log_p: what all views predict, those with a target first and in the same order.

    Shapes: (batch, targets, outputs), (batch, views, outputs) → (batch,).
    """
    count, views = targets.shape[1], log_p.shape[1]
    with torch.autocast(log_p.device.type, enabled=False):
        cross = -(targets @ log_p.transpose(1, 2))  # (batch, targets, views)
    own = cross.diagonal(dim1=1, dim2=2).sum(-1)
    return (cross.sum((1, 2)) - own) / (count * (views - 1))
