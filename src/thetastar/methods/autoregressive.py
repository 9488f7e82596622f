"""Autoregressive images: each pixel is foretold from those before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.losses import cross_entropy, full
from thetastar.functional.raster import intensities
from thetastar.layers.raster import TOY, Raster
from thetastar.protocols import Aux, Batch, Clock, Model, Objective, Schema

__all__ = ["autoregressive"]


class autoregressive(Objective):
    """L(θ) = −(1/D) Σ_i log p_θ(x_i | x_1, …, x_{i−1}) over the D values of an image, in nats.

    p_θ(x_i | …) = softmax(W_c h_i + b_c) over the levels of brightness, with h_i what f makes of the values before i,
    and W_c of the value's channel. Targets are not looked at, unless f is `conditional`: then it is log p(x | y).

    "log_likelihood" is log p_θ(x) of every image in nats, exact. "samples" draws images value by value, one for every
    example of the batch, of its class where f is conditional; otherwise the examples are not looked at. "features" are
    the mean over all places.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks.
    """

    companions: ClassVar[Mapping[str, Any]] = {
        "model": "pixelcnn",
        "algorithm": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.0},
        "measures": ["bits_per_dim"],
    }
    reads = ("input",)
    kinds = frozenset({"image"})

    @classmethod
    def example(cls) -> dict[str, Any]:
        model = {"name": "pixelcnn", "levels": 4, "width": 8, "depth": 2, "first": 3}
        return {**TOY, "model": model}

    def attach(self, f: Model, schema: Schema) -> None:
        if not isinstance(f, Raster):
            got = f"autoregressive with {type(f).__name__}, which sees all of an image at once"
            raise UserError(got, "a model that reads pixel by pixel", "choose pixelcnn, image_gpt or diagonal_lstm")
        f.head.requires_grad_(False)
        self.shape = (f.channels, f.height, f.across)
        self.softmax = nn.Conv2d(f.maps, f.channels * f.levels, 1, groups=f.channels)
        self.reads = ("input", "target") if f.classes else ("input",)

    def loss(self, f: Raster, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:  # type: ignore[override]
        return -self.log_likelihood(f, batch).mean() / math.prod(self.shape), Aux()

    def log_likelihood(self, f: Raster, batch: Batch) -> Tensor:
        """log p(x) of every example, (batch,) in nats."""
        codes = f.digitise(batch["input"])
        logits = self.logits(f, codes, self.given(f, batch))
        return -cross_entropy(logits.flatten(0, -2), codes.flatten()).view(codes.shape).sum((1, 2, 3))

    def logits(self, f: Raster, codes: Tensor, given: Tensor | None = None) -> Tensor:
        """Of every value's levels from what came before it.

        Shapes: (batch, channels, height, width) → (batch, channels, height, width, levels).
        """
        z = full(self.softmax(f.places(codes, given)))
        return z.unflatten(1, (f.channels, f.levels)).permute(0, 1, 3, 4, 2)

    def given(self, f: Raster, batch: Batch) -> Tensor | None:
        """The classes, where f is told them."""
        if not f.classes:
            return None
        if "target" not in batch:
            raise UserError("a model that is told the class, without classes", "classes beside the images", "")
        return batch["target"]

    @torch.no_grad()
    def predict(self, f: Raster, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:  # type: ignore[override]
        x = batch["input"]
        out: dict[str, Tensor] = {}
        if "features" in wants:
            out["features"] = f.features(x)
        if "log_likelihood" in wants:
            out["log_likelihood"] = self.log_likelihood(f, batch)
        if "levels" in wants:
            out["levels"] = torch.full((len(x),), f.levels, device=x.device)
        if "samples" in wants:
            out["samples"] = self.sample(f, len(x), self.given(f, batch))
        return out

    @torch.no_grad()
    def sample(self, f: Raster, count: int, given: Tensor | None = None) -> Tensor:
        """Images drawn value by value: x_i ~ p(x_i | x_1, …, x_{i−1}).

        Shapes: given (count,) classes → (count, channels, height, width) in [0, 1].
        """
        channels, height, width = self.shape
        codes = torch.zeros(count, *self.shape, dtype=torch.long, device=self.softmax.weight.device)
        memory: dict[str, Any] = {}
        for row in range(height):
            for column in range(width):
                for channel in range(channels):
                    known = f.place(codes, (row, column, channel), given, memory)
                    z = full(self.softmax(known[:, :, None, None])).view(count, channels, f.levels)[:, channel]
                    codes[:, channel, row, column] = torch.multinomial(z.softmax(-1), 1)[:, 0]
        return intensities(codes, f.levels)
