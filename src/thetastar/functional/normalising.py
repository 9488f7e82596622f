"""Normalisation between layers: what is divided by what."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from thetastar.functional.losses import full


def local_response(x: Tensor, *, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75) -> Tensor:
    """y_c = x_c / (k + α Σ_{|j − c| ≤ size/2} x_j²)^β: channels compete with their neighbours at the same place.

    Args:
        size: channels in the sum, odd; the sum ends with the channels.

    Shapes: (batch, channels, …) → the same.

    Source: Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks.
    """
    assert size % 2, f"{size} channels have no middle"
    squares = full(x).square().movedim(1, -1)  # (batch, …, channels)
    near = F.pad(squares, (size // 2, size // 2)).unfold(-1, size, 1).sum(-1).movedim(-1, 1)
    return (x / (k + alpha * near).pow(beta)).to(x.dtype)
