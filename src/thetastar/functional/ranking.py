"""From how many members and others have each score to curves over all thresholds and the areas below them.

Shapes: members and others (classes, scores), counts by rising score.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def roc_areas(members: Tensor, others: Tensor) -> Tensor:
    """The share of pairs (member, other) in which the member scores higher, ties half; NaN without a pair.

    Shapes: (classes,).
    """
    below = others.cumsum(1) - others / 2
    return (members * below).sum(1) / (members.sum(1) * others.sum(1))


def roc_curves(members: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """False-positive and true-positive rates from the highest threshold to the lowest, (0, 0) first.

    Shapes: (classes, scores + 1) each.
    """
    false, true = (F.pad(c.flip(1).cumsum(1) / c.sum(1, keepdim=True), (1, 0)) for c in (others, members))
    return false, true


def precision_recall_curves(members: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Recall and precision from the highest threshold to the lowest, (0, 1) first.

    Shapes: (classes, scores + 1) each.
    """
    true, false = (counts.flip(1).cumsum(1) for counts in (members, others))
    recall, precision = true / members.sum(1, keepdim=True), true / (true + false)
    precision = torch.where(true + false > 0, precision, torch.ones_like(precision))  # nothing is called yet
    return F.pad(recall, (1, 0)), F.pad(precision, (1, 0), value=1.0)


def average_precisions(members: Tensor, others: Tensor) -> Tensor:
    """Σ_t (R_t − R_{t−1}) P_t; NaN without members.

    Shapes: (classes,).
    """
    recall, precision = precision_recall_curves(members, others)
    return (recall.diff(dim=1) * precision[:, 1:]).sum(1)
