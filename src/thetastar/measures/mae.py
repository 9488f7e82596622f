"""Mean absolute error."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.measures.number_error import NumberError
from thetastar.registry import Positive

__all__ = ["mae"]


class mae(NumberError):
    """Mean absolute error (1/n) Σ |ŷᵢ − yᵢ| / s, averaged over outputs, ≥ 0, in the target's units for s = 1.

    Args:
        scale: s of each output, > 0, so that outputs in different units count alike; () is 1.

    Shapes: prediction and target (batch,) or (batch, outputs).
    """

    def __init__(self, *, scale: tuple[Positive, ...] = ()) -> None:
        super().__init__()
        self.scale = torch.tensor(scale or (1.0,), dtype=torch.float64)

    def errors(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction - target).abs() / self.scale.to(target.device)
