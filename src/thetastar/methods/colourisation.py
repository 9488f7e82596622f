"""Colourisation: learn features by saying which colours a grey image had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.lab import gamut, lab, srgb
from thetastar.functional.losses import full
from thetastar.layers.decoding import decoder
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema
from thetastar.registry import Count, Fraction, Positive

__all__ = ["colourisation"]

NEAREST = 5  # bins that share a pixel's colour
SPREAD = 5.0  # σ of their shares, in units of a*b*


class colourisation(Pretext):
    """L = −mean over places of v(z) Σ_q z_q log p_q(f(grey x)), z the place's chroma as shares of bins of a*b*.

    Colours are classes because grey hides which of several is meant, and the mean of several is none of them. z shares
    a chroma among the five nearest bins by e^{−d²/2σ²}, σ = 5. v ∝ 1/((1 − λ) p̃ + λ/Q) of z's largest bin, with mean 1
    over p̃, lets rare colours count; p̃, the mean of z, is a running one, uniform before the first step. A picture takes
    the mean of the bins under p^{1/T}. f sees grey images of the same lightness L*, three equal channels.

    "chroma_error" in the trace is the mean distance of that mean from the chroma over the mean chroma itself: 1 for who
    answers grey, and more for who is vivid and wrong.

    Args:
        step: side of a bin, in units of a*b*; 10 gives Q = 262 that sRGB can show.
        stride: pixels down and across that share a place.
        rebalance: λ; 1 lets all colours count the same.
        temperature: T > 0, 1 for the mean, towards 0 for the mode.
        hidden: channels of the decoder.

    Shapes: (batch, 3, height, width) → features (batch, width), or a vector a place from models of segmentation.

    Source: Zhang, Isola and Efros 2016, Colorful image colorization.
    """

    bins: Tensor
    frequency: Tensor

    def __init__(
        self,
        *,
        step: Count = 10,
        stride: Count = 4,
        rebalance: Fraction = 0.5,
        temperature: Positive = 0.38,
        hidden: Count = 64,
    ) -> None:
        super().__init__()
        self.step, self.stride, self.rebalance = step, stride, rebalance
        self.temperature, self.hidden = temperature, hidden

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {
            "data": {"name": "shapes", "size": 16, "rows": 60},
            "model": {"name": "unet", "width": 4, "depth": 1},
            "method": {"name": "colourisation", "step": 20},
        }

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        channels, height, width = field.shape
        same = len(set(field.mean)) == 1 and len(set(field.std)) == 1
        if channels != 3 or same:
            got = "three equal ones" if channels == 3 else channels
            raise UserError(f"colourisation on grey images: channels: {got}", "images in colour", "choose inpainting")
        self.grid = max(1, height // self.stride), max(1, width // self.stride)
        bins = gamut(self.step)
        self.register_buffer("bins", bins, persistent=False)
        self.register_buffer("frequency", torch.full((len(bins),), 1 / len(bins)))
        self.decoder = decoder(f, schema, len(bins), self.grid, self.hidden)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        colour = lab(batch["input"])
        chroma = F.adaptive_avg_pool2d(colour[:, 1:], self.grid).permute(0, 2, 3, 1)  # (batch, down, across, 2)
        shares = self.shares(chroma)
        logits = self.logits(f, colour)
        rare = self.weights()[shares.argmax(-1)]
        loss = -(rare * (shares * torch.log_softmax(logits, -1)).sum(-1)).mean()
        off = (self.decided(logits.detach()) - chroma).norm(dim=-1).mean()
        log = {"chroma_error": off / chroma.norm(dim=-1).mean()}
        return loss, Aux(log=log, carry={"shares": shares.mean((1, 2))})

    def shares(self, chroma: Tensor) -> Tensor:
        """z: (…, 2) → (…, bins)."""
        distance = torch.cdist(chroma.reshape(1, -1, 2), self.bins[None])[0]
        nearest, which = distance.topk(NEAREST, largest=False)
        shared = torch.softmax(-(nearest**2) / (2 * SPREAD**2), -1)
        return torch.zeros_like(distance).scatter_(1, which, shared).view(*chroma.shape[:-1], -1)

    def weights(self) -> Tensor:
        """v of every bin."""
        rare = 1 / ((1 - self.rebalance) * self.frequency + self.rebalance / len(self.bins))
        return rare / (self.frequency * rare).sum()

    def logits(self, f: Model, colour: Tensor) -> Tensor:
        """What f says of a grey image: (batch, down, across, bins)."""
        grey = torch.cat([colour[:, :1], torch.zeros_like(colour[:, 1:])], 1)
        return full(self.decoder(f.features(srgb(grey)))).permute(0, 2, 3, 1)

    def decided(self, logits: Tensor) -> Tensor:
        """The mean of the bins under p^{1/T}: (…, bins) → (…, 2)."""
        return torch.softmax(logits / self.temperature, -1) @ self.bins

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        self.frequency.lerp_(aux["loss"].carry["shares"].mean(0), 1 / (t.step + 1))

    def pictures(self, f: Model, x: Tensor) -> dict[str, Tensor]:
        colour = lab(x)
        chroma = self.decided(self.logits(f, colour)).permute(0, 3, 1, 2)
        chroma = F.interpolate(chroma, x.shape[2:], mode="bilinear")
        lightness, none = colour[:, :1], torch.zeros_like(chroma)
        return {
            "original": x,
            "grey": srgb(torch.cat([lightness, none], 1)),
            "colourised": srgb(torch.cat([lightness, chroma], 1)),
        }
