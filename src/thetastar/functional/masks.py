"""Masks: one class a pixel, and pixels that count for nothing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.functional.losses import full

VOID = 255  # the class of pixels that no loss and no measure counts, as in the masks of PASCAL VOC


def known(mask: Tensor) -> Tensor:
    """Which pixels count: the shape of `mask`, True where it names a class."""
    return mask != VOID


def cross_entropies(logits: Tensor, mask: Tensor, smoothing: float = 0.0) -> Tensor:
    """−Σ_j y_j log softmax(z)_j of every pixel, with y ← (1 − s) y + s / classes; 0 where the mask is void.

    Shapes: logits (batch, classes, height, width), mask (batch, height, width) → as the mask.
    """
    return F.cross_entropy(full(logits), mask, ignore_index=VOID, label_smoothing=smoothing, reduction="none")


def dice(logits: Tensor, mask: Tensor) -> Tensor:
    """1 − (1/|C|) Σ_{c ∈ C} 2 Σᵢ pᵢ gᵢ / (Σᵢ pᵢ² + Σᵢ gᵢ²) of every image, C the classes that are there.

    p = softmax(z)_c and g = [y = c] over the pixels i that are not void; 0 for an image that is all void.

    Shapes: logits (batch, classes, height, width), mask (batch, height, width) → (batch,).

    Source: Milletari, Navab and Ahmadi 2016, V-Net: fully convolutional neural networks for volumetric medical image
    segmentation; its mean over classes as Sudre et al. 2017, Generalised Dice overlap.
    """
    counted = known(mask)
    truth = F.one_hot(mask.where(counted, 0), logits.shape[1]).movedim(-1, 1) * counted[:, None]
    said = torch.softmax(full(logits), 1) * counted[:, None]
    size = truth.sum((2, 3))  # (batch, classes), of g² too
    overlap = 2 * (said * truth).sum((2, 3)) / (said.square().sum((2, 3)) + size).clamp_min(1e-12)
    there = (size > 0).to(overlap.dtype)
    return (there * (1 - overlap)).sum(1) / there.sum(1).clamp_min(1)


def counts_by_image(prediction: Tensor, mask: Tensor, classes: int) -> Tensor:
    """How many pixels of each image are of each class in both, called so and so in truth: (3, batch, classes) int64.

    Shapes: prediction and mask (batch, height, width).
    """
    counted = known(mask).flatten(1)
    mask, prediction = mask.flatten(1).long().where(counted, classes), prediction.flatten(1).long()
    called = prediction.where(counted, classes)
    both = mask.where(mask == prediction, classes)
    empty = torch.zeros(len(mask), classes + 1, dtype=torch.int64, device=mask.device)  # the last for what is left out
    return torch.stack([empty.scatter_add(1, of, torch.ones_like(of))[:, :classes] for of in (both, called, mask)])


def ious(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union TP / (TP + FP + FN) in float64, and where it is defined: the class is there or called.

    Shapes: counts (3, …): in both, called, there → (…).
    """
    both, called, there = counts.double()
    union = called + there - both
    return both / union.clamp_min(1), union > 0


def image_ious(prediction: Tensor, mask: Tensor, classes: int) -> Tensor:
    """The mean IoU of every image over the classes that are there or called in it; 1 for an image that is all void.

    Shapes: prediction and mask (batch, height, width) → (batch,) float64.
    """
    shares, defined = ious(counts_by_image(prediction, mask, classes))
    mean = (shares * defined).sum(1) / defined.sum(1).clamp_min(1)
    return mean.where(defined.any(1), 1.0)
