"""Counting right and wrong decisions, class by class."""

from __future__ import annotations

import torch
from torch import Tensor


def confusion_matrix(prediction: Tensor, target: Tensor, classes: int) -> Tensor:
    """How often class i was called j: (classes, classes) int64, rows the truth.

    Shapes: prediction and target (batch, …) of class numbers.
    """
    cells = target.long().flatten() * classes + prediction.long().flatten()
    return (
        torch.zeros(classes * classes, dtype=torch.int64, device=cells.device)
        .index_add(0, cells, torch.ones_like(cells))
        .reshape(classes, classes)
    )


def hits(prediction: Tensor, target: Tensor, classes: int) -> Tensor:
    """(3, classes) int64: how often each class was called and there, called, there.

    Shapes: prediction and target (batch,) of class numbers, or (batch, classes) of 0 and 1.
    """
    if target.ndim == 1:
        matrix = confusion_matrix(prediction, target, classes)
        return torch.stack([matrix.diagonal(), matrix.sum(0), matrix.sum(1)])
    called, there = prediction.long(), target.long()
    return torch.stack([(called * there).sum(0), called.sum(0), there.sum(0)])


def f_scores(counts: Tensor, beta: float) -> Tensor:
    """(1 + β²) P R / (β² P + R), computed as (1 + β²) TP / (called + β² there); 0 where a class is neither."""
    both, called, there = counts.double()
    return (1 + beta**2) * both / (called + beta**2 * there).clamp_min(1e-300)


def shares(counts: Tensor, of: int) -> Tensor:
    """TP / called (`of` = 1, precision) or TP / there (`of` = 2, recall), 0 where nothing was."""
    return counts[0].double() / counts[of].double().clamp_min(1)
