"""Mean absolute percentage error."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.measures.number_error import NumberError

__all__ = ["mape"]


class mape(NumberError):
    """Mean absolute percentage error (1/n) Σ |ŷᵢ − yᵢ| / |yᵢ|, averaged over outputs, ≥ 0: 0.1 is 10% off.

    |yᵢ| is at least ε = 2.2e-16, so a target of 0 that is missed costs more than all others together; forecasts that
    are too low cost less than those that are too high.

    Shapes: prediction and target (batch,) or (batch, outputs).

    Source: Hyndman and Koehler 2006, Another look at measures of forecast accuracy.
    """

    def errors(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction - target).abs() / target.abs().clamp_min(torch.finfo(torch.float64).eps)
