"""Least squares in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.gathering import plain_batches
from thetastar.functional.predictions import from_output
from thetastar.layers.ends import Units
from thetastar.protocols import Batch, Clock, Method, Model, Move, Schema, Stream
from thetastar.registry import BelowOne, NonNegative

__all__ = ["least_squares"]

NULL = 1e-12  # eigenvalues below this share of the largest are collinear columns, rounded to float32


@dataclass
class Moments:
    """Sums of centred products over a stream, in float64: zᵀz, zᵀu and u², z the features and u the targets."""

    count: int
    features: Tensor
    targets: Tensor
    zz: Tensor
    zu: Tensor
    uu: Tensor


class least_squares(Method):
    """W, b = argmin Σᵢ ‖W φ(xᵢ) + b − yᵢ‖² + α ‖W‖², from the normal equations (ΦᵀΦ + αI) Wᵀ = Φᵀy of centred data.

    φ are the features of f: the inputs of a linear model, random features of an untrained net. Under Gaussian noise it
    is the maximum-likelihood estimate (α = 0), or the posterior mode with a Gaussian prior of variance σ²/α on the
    weights. Collinear columns share their effect (least norm). Where an interval is wanted, it is
    ŷ ± t_{n−p} s √(1 + 1/n + φᵀ(ΦᵀΦ + αI)⁻¹φ) with s² = RSS / (n − p).

    Args:
        ridge: α ≥ 0, in units of the sum of squares; φ are standardised, the bias is free.
        level: coverage of prediction intervals, in [0, 1).

    Shapes: predict gives "prediction" (batch, …) and, where wanted, "interval" (batch, 2, …).

    Source: Gauss 1809, Theoria motus; Hoerl and Kennard 1970, Ridge regression.
    """

    spread: Tensor
    centre: Tensor
    deviation: Tensor
    counts: Tensor

    def __init__(self, *, ridge: NonNegative = 0.0, level: BelowOne = 0.95) -> None:
        super().__init__()
        self.ridge, self.level = ridge, level
        for name in ("spread", "centre", "deviation", "counts"):
            self.register_buffer(name, None)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "plane", "model": "linear", "method": cls.__name__}

    def attach(self, f: Model, schema: Schema) -> None:
        if schema.target is None or schema.target.kind != "number":
            raise UserError(
                f"least_squares on a {schema.task} task", "numbers as the target", "choose method supervised"
            )
        if not (
            isinstance(f.head, nn.Sequential) and isinstance(f.head[0], nn.Linear) and isinstance(f.head[1], Units)
        ):
            raise UserError(
                f"least_squares with {type(f).__name__}", "a model whose head is linear", "choose model linear"
            )

    def moves(self, f: Model) -> Sequence[Move]:
        return []

    @torch.no_grad()
    def consolidate(self, f: Model, stream: Stream, t: Clock) -> None:
        f.eval()
        linear, units = f.head[0], f.head[1]  # type: ignore[index]
        sums = moments(f, stream, t, units)
        values, vectors = torch.linalg.eigh(sums.zz)
        kept = values > NULL * values[-1]
        inverse = torch.where(kept | (self.ridge > 0), 1 / (values.clamp_min(0) + self.ridge), torch.zeros_like(values))
        spread = (vectors * inverse) @ vectors.T
        weight = spread @ sums.zu  # (features, outputs)
        linear.weight.copy_(weight.T)
        linear.bias.copy_(sums.targets - sums.features @ weight)
        residual = sums.uu - 2 * (weight * sums.zu).sum(0) + (weight * (sums.zz @ weight)).sum(0)
        freedom = sums.count - 1 - int(kept.sum())
        variance = residual.clamp_min(0) / freedom if freedom > 0 else torch.full_like(residual, math.inf)
        self.spread, self.centre, self.deviation = spread, sums.features, variance.sqrt() * units.std
        self.counts = spread.new_tensor([sums.count, max(freedom, 1)])

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        out = from_output(f, batch, wants | {"prediction"}, "number")
        if "interval" in wants:
            out["interval"] = self.interval(f.features(batch["input"]), out["prediction"])
        return {name: value for name, value in out.items() if name in wants}

    def interval(self, features: Tensor, prediction: Tensor) -> Tensor:
        """Where a new observation lies with probability `level`, were the noise Gaussian and alike everywhere."""
        from scipy.stats import t as student

        rows, freedom = self.counts.tolist()
        z = features.double() - self.centre
        leverage = ((z @ self.spread) * z).sum(1, keepdim=True)  # (batch, 1)
        width = student.ppf((1 + self.level) / 2, freedom) * (1 + 1 / rows + leverage).sqrt() * self.deviation
        width = width.reshape(prediction.shape).to(prediction)
        return torch.stack([prediction - width, prediction + width], 1)


def moments(f: Model, stream: Stream, t: Clock, units: Units) -> Moments:
    """Every example of train once; shifted by the first batch's mean, so that centring the sums costs no digits."""
    shift: Tensor | None = None
    total: Tensor | None = None
    count = 0
    for batch in plain_batches(stream, "train", t):
        z = f.features(batch["input"]).double()
        u = (batch["target"].double().reshape(len(z), -1) - units.mean.double()) / units.std.double()
        both = torch.cat([z, u], 1)
        shift = both.mean(0) if shift is None else shift
        both = torch.cat([both - shift, both.new_ones(len(both), 1)], 1)
        product = both.T @ both  # the last column holds the sums
        total = product if total is None else total + product
        count += len(z)
    assert shift is not None
    assert total is not None
    first, size = total[:-1, -1] / count, f.width
    centred = total[:-1, :-1] - count * torch.outer(first, first)
    mean = shift + first
    return Moments(
        count, mean[:size], mean[size:], centred[:size, :size], centred[:size, size:], centred.diagonal()[size:]
    )
