"""Losses by name: pure functions (output, target) → one value per example."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """−Σ_j y_j log softmax(z)_j; `target` is a class (batch,) or a distribution (batch, classes)."""
    return F.cross_entropy(logits.float(), target, label_smoothing=smoothing, reduction="none")


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """−Σ_j y_j log σ(z_j) + (1 − y_j) log σ(−z_j), averaged over labels."""
    return F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none").mean(-1)


def squared(output: Tensor, target: Tensor) -> Tensor:
    """‖ŷ − y‖² / outputs."""
    return (output - target).square().reshape(len(output), -1).mean(-1)


def absolute(output: Tensor, target: Tensor) -> Tensor:
    """|ŷ − y|, averaged over outputs."""
    return (output - target).abs().reshape(len(output), -1).mean(-1)


def hinge(logits: Tensor, target: Tensor, margin: float = 1.0) -> Tensor:
    """max(0, margin + max_{j≠y} z_j − z_y). Source: Crammer and Singer 2001, multiclass kernel-based vector machines."""
    logits = logits.float()
    own = logits.gather(1, target[:, None]).squeeze(1)
    others = logits.masked_fill(F.one_hot(target, logits.shape[1]).bool(), -torch.inf).amax(1)
    return (margin + others - own).clamp_min(0)
