"""Losses between two views of the same examples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.losses import full
from thetastar.protocols import Batch


def two_views(batch: Batch, method: str) -> tuple[Tensor, Tensor]:
    """The views of a batch; data that give none are refused."""
    if "view" not in batch:
        raise UserError(
            f"{method} on data without views", "two views of every example", "write data={name: views, source: …}"
        )
    return batch["input"], batch["view"]


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """‖a/‖a‖ − b/‖b‖‖² = 2 − 2 cos(a, b), one value per example: (batch, width)² → (batch,)."""
    return 2 - 2 * F.cosine_similarity(full(a), full(b), dim=-1)


def info_nce(query: Tensor, key: Tensor, negatives: Tensor, temperature: float, hard_negatives: float = 0.0) -> Tensor:
    """−log (e^{q·k/τ} / (e^{q·k/τ} + Σ_n w_n e^{q·n/τ})), one value per example; all vectors of length one.

    w_n ∝ e^{β q·n/τ} with mean 1, β = `hard_negatives`.

    Shapes: (batch, width), (batch, width), (negatives, width) → (batch,).

    Source: van den Oord, Li and Vinyals 2018, Representation learning with contrastive predictive coding.
    """
    with torch.autocast(query.device.type, enabled=False):  # bfloat16 cosines over a small τ would be off by tenths
        own = (query * key).sum(-1) / temperature  # (batch,)
        others = sum_of_negatives(query @ negatives.T / temperature, hard_negatives)
        return F.softplus(others - own)


def nt_xent(first: Tensor, second: Tensor, temperature: float, hard_negatives: float = 0.0) -> Tensor:
    """−log (e^{z_i·z_p/τ} / (e^{z_i·z_p/τ} + Σ_n w_n e^{z_i·z_n/τ})), one value for each of the 2N views of a batch.

    z_p is the other view of the same example, n runs over the 2N − 2 views of the other examples; w_n ∝ e^{β z_i·z_n/τ}
    with mean 1, β = `hard_negatives`. Vectors may have any length; their directions count.

    Shapes: (batch, width)² → (2 · batch,).

    Source: Chen, Kornblith, Norouzi and Hinton 2020, A simple framework for contrastive learning of visual
    representations.
    """
    with torch.autocast(first.device.type, enabled=False):
        z = F.normalize(full(torch.cat([first, second])), dim=-1)
        rows = torch.arange(len(z), device=z.device)
        logits = z @ z.T / temperature  # (2 · batch, 2 · batch)
        other = rows.roll(len(first))[:, None]
        positive = logits.gather(1, other)[:, 0]
        same = (rows[:, None] == rows) | (rows == other)  # neither itself nor its other view is a negative
        return F.softplus(sum_of_negatives(logits, hard_negatives, same) - positive)


def sum_of_negatives(logits: Tensor, hard_negatives: float = 0.0, none: Tensor | None = None) -> Tensor:
    """log Σ_n w_n e^{a_n}, w_n = e^{β a_n} / mean of e^{β a}: hard negatives weigh most; all alike at β = 0.

    Args:
        logits: a.
        hard_negatives: β ≥ 0; gradients pass through the weights.
        none: where there is no negative.

    Shapes: (batch, negatives), `none` likewise → (batch,).

    Source: Robinson, Chuang, Sra and Jegelka 2021, Contrastive learning with hard negative samples.
    """

    def total(a: Tensor) -> Tensor:
        return torch.logsumexp(a if none is None else a.masked_fill(none, -torch.inf), 1)

    if isinstance(hard_negatives, float | int) and not hard_negatives:
        return total(logits)
    count = total(torch.zeros_like(logits))  # its logarithm
    return total((1 + hard_negatives) * logits) - total(hard_negatives * logits) + count
