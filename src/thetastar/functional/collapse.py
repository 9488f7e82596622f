"""Gauges of collapse: whether features still tell examples apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.functional.information import entropy


def spread(z: Tensor) -> Tensor:
    """√(1 − ‖mean of z/‖z‖‖²): the deviation of the directions from their mean; 0 where all features point one way.

    Shapes: (rows, width) → ().
    """
    centre = F.normalize(z.float(), dim=-1).mean(0)
    return (1 - centre.square().sum()).clamp_min(0).sqrt()


def effective_rank(covariance: Tensor) -> Tensor:
    """exp(−Σ p log p), p = σ/Σσ with σ² the eigenvalues of the covariance: how many directions features really use.

    From 1 (a line) to the width (a ball); 0 where nothing varies.

    Shapes: (width, width) → ().

    Source: Roy and Vetterli 2007, The effective rank: a measure of effective dimensionality.
    """
    values = torch.linalg.eigvalsh(covariance).clamp_min(0).sqrt()
    total = values.sum()
    p = values / total.clamp_min(torch.finfo(values.dtype).tiny)
    return torch.where(total > 0, entropy(p).exp(), torch.zeros_like(total))
