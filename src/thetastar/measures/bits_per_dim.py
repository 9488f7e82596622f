"""How many bits a value of an example costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.means import RunningMean
from thetastar.layers.raster import TOY
from thetastar.protocols import Batch, Measure

__all__ = ["bits_per_dim"]

PUBLISHED = 256  # levels of the figures in the literature


class bits_per_dim(Measure):
    """−log₂ p(x) / D, a mean over examples of D values each, ≥ 0: what a code made from p spends on a value.

    One of 256 equally likely levels costs 8 bits. Values in fewer levels cost less: then the figure is given a second
    time under a name that says how many, for it is not to be held against published ones.

    Shapes: log_likelihood (batch,) in nats, levels (batch,), input (batch, …).

    Source: Theis, van den Oord and Bethge 2016, A note on the evaluation of generative models.
    """

    wants = frozenset({"log_likelihood", "levels"})
    higher_is_better = False

    def __init__(self) -> None:
        self.mean = RunningMean()
        self.levels = torch.tensor(PUBLISHED)

    @classmethod
    def example(cls) -> dict[str, Any]:
        model = {"name": "pixelcnn", "levels": 4, "width": 8, "depth": 2, "first": 3}
        return {**TOY, "model": model, "measures": ["bits_per_dim"]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        if "log_likelihood" not in out:
            got = "bits_per_dim of a method that gives no likelihood"
            raise UserError(got, "an autoregressive method", "choose method autoregressive")
        bits = -out["log_likelihood"] / (math.log(2) * batch["input"][0].numel())
        self.levels = out["levels"][0]
        return self.mean.take(bits)

    def compute(self) -> dict[str, float]:
        value, levels = self.mean.value.item(), int(self.levels)
        named = {} if levels == PUBLISHED else {f"bits_per_dim_at_{levels}_levels": value}
        return {"bits_per_dim": value, **named}
