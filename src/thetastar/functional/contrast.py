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


def info_nce(query: Tensor, key: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """−log (e^{q·k/τ} / (e^{q·k/τ} + Σ_n e^{q·n/τ})), one value per example; all vectors of length one.

    Shapes: (batch, width), (batch, width), (negatives, width) → (batch,).

    Source: van den Oord, Li and Vinyals 2018, Representation learning with contrastive predictive coding.
    """
    with torch.autocast(query.device.type, enabled=False):  # bfloat16 cosines over a small τ would be off by tenths
        own = (query * key).sum(-1, keepdim=True)  # (batch, 1)
        logits = torch.cat([own, query @ negatives.T], 1) / temperature
        return torch.logsumexp(logits, 1) - logits[:, 0]
