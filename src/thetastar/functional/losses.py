"""Losses by name: pure functions (output, target) → one value per example.

Classes are given as numbers (batch,) or distributions (batch, classes), labels that are there or
not as 0 and 1 (batch, labels).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def full(x: Tensor) -> Tensor:
    """At least float32: sums of exponentials need the digits."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


# --- classes and labels, from logits ------------------------------------------------------------


def cross_entropy(logits: Tensor, target: Tensor, smoothing: float | Tensor = 0.0, reduction: str = "none") -> Tensor:
    """−Σ_j y_j log softmax(z)_j, with y ← (1 − s) y + s / classes; its gradient in z is softmax(z) − y.

    `reduction` "mean" averages over the batch in the same kernel.
    """
    logits = full(logits)
    target = target if target.ndim == 1 else target.to(logits.dtype)
    if isinstance(smoothing, Tensor):  # that of a member of a population
        hard = F.cross_entropy(logits, target, reduction=reduction)
        even = -torch.log_softmax(logits, -1).mean(-1)
        return (1 - smoothing) * hard + smoothing * (even.mean() if reduction == "mean" else even)
    return F.cross_entropy(logits, target, label_smoothing=smoothing, reduction=reduction)


def kl(logits: Tensor, target: Tensor) -> Tensor:
    """KL(y ‖ softmax(z)) = Σ_j y_j (log y_j − log softmax(z)_j): cross-entropy less the entropy of y.

    A class has no entropy.
    """
    if target.ndim == 1:
        return cross_entropy(logits, target)
    return cross_entropy(logits, target) - torch.special.entr(target).sum(-1)


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """−Σ_j y_j log σ(z_j) + (1 − y_j) log σ(−z_j), averaged over labels."""
    logits = full(logits)
    return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none").mean(-1)


def margins(logits: Tensor, target: Tensor) -> Tensor:
    """By how much the right answer is ahead: z_y − z_j of each other class j, or ±z_j of each label j.

    Shapes: (batch, classes − 1) or (batch, labels).
    """
    logits = full(logits)
    if target.ndim == 2:
        return (2 * target.to(logits.dtype) - 1) * logits
    others = torch.arange(logits.shape[1] - 1, device=logits.device).expand(len(logits), -1)
    others = others + (others >= target[:, None])  # all classes but y
    return logits.gather(1, target[:, None]) - logits.gather(1, others)


def hinge(logits: Tensor, target: Tensor, margin: float = 1.0) -> Tensor:
    """max(0, 1 − min_{j≠y} (z_y − z_j)); for labels the mean of max(0, 1 ∓ z_j).

    Source: Crammer and Singer 2001, On the algorithmic implementation of multiclass kernel-based vector machines.
    """
    ahead = margins(logits, target)
    if target.ndim == 2:
        return (margin - ahead).clamp_min(0).mean(-1)
    return (margin - ahead.amin(1)).clamp_min(0)


def perceptron(logits: Tensor, target: Tensor) -> Tensor:
    """The hinge without a margin: max(0, max_{j≠y} z_j − z_y); a tie has the gradient of a mistake."""
    return hinge(logits, target, margin=0.0)


def exponential(logits: Tensor, target: Tensor) -> Tensor:
    """Σ_{j≠y} exp(−(z_y − z_j)), what AdaBoost descends; for labels the mean of exp(∓z_j).

    Source: Zhang 2004, Statistical analysis of some multi-category large margin classification methods.
    """
    values = margins(logits, target).neg().exp()
    return values.mean(-1) if target.ndim == 2 else values.sum(-1)


def logistic(logits: Tensor, target: Tensor) -> Tensor:
    """Σ_{j≠y} log(1 + exp(−(z_y − z_j))), of two classes the cross-entropy; for labels the mean of log(1 + exp(∓z_j)).

    Source: Zhang 2004, Statistical analysis of some multi-category large margin classification methods.
    """
    values = F.softplus(margins(logits, target).neg())
    return values.mean(-1) if target.ndim == 2 else values.sum(-1)


# --- numbers ------------------------------------------------------------------------------------


def _per_example(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1).mean(-1)


def squared(output: Tensor, target: Tensor) -> Tensor:
    """‖ŷ − y‖² / outputs."""
    return _per_example((output - target).square())


def absolute(output: Tensor, target: Tensor) -> Tensor:
    """|ŷ − y|, averaged over outputs."""
    return _per_example((output - target).abs())


def huber(output: Tensor, target: Tensor, delta: float = 1.0) -> Tensor:
    """e²/2 where |e| ≤ δ, δ(|e| − δ/2) beyond, e = ŷ − y, averaged over outputs.

    Source: Huber 1964, Robust estimation of a location parameter.
    """
    return _per_example(F.huber_loss(output, target, delta=delta, reduction="none"))


def gaussian_nll(output: Tensor, target: Tensor, log_variance: Tensor) -> Tensor:
    """−log N(y; ŷ, σ²) = ((ŷ − y)² / σ² + log σ² + log 2π) / 2, averaged over outputs; `log_variance` broadcasts."""
    error = (output - target).square()
    return _per_example(0.5 * (error * (-log_variance).exp() + log_variance + math.log(2 * math.pi)))
