"""Inpainting: learn features by painting what was cut out of an image."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from thetastar.functional.losses import full
from thetastar.functional.moments import moments
from thetastar.layers.decoding import decoder
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema
from thetastar.registry import Count, Fraction

__all__ = ["inpainting"]


class inpainting(Pretext):
    """L = ‖M ⊙ (x − g(f((1 − M) ⊙ x)))‖² / |M|, M a block of the image; x in standard deviations of the train split.

    In place of the block f sees the mean colour. This is the reconstruction part of the paper, with which alone it
    learns features; its adversarial part makes pictures sharper, where this one paints a blurred mean of what could be
    there. "inpainting_error" in the trace is the loss over that of painting the mean, 1 for who knows nothing.

    Args:
        region: the block is the middle of the image, as in most of the paper, or anywhere.
        share: of the area that is cut out, in [0, 1]; sides are rounded.
        hidden: channels of the decoder g.

    Shapes: (batch, channels, height, width) → features (batch, width), or a vector a place from models of segmentation.

    Source: Pathak, Krähenbühl, Donahue, Darrell and Efros 2016, Context encoders: feature learning by inpainting.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, *, region: Literal["centre", "anywhere"] = "anywhere", share: Fraction = 0.25, hidden: Count = 64
    ) -> None:
        super().__init__()
        self.region, self.share, self.hidden = region, share, hidden

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {
            "data": {"name": "shapes", "size": 16, "rows": 60},
            "model": {"name": "unet", "width": 4, "depth": 1},
            "method": "inpainting",
        }

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        mean, std = moments(field)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        channels, height, width = field.shape
        self.sides = tuple(max(1, round(side * self.share**0.5)) for side in (height, width))
        self.decoder = decoder(f, schema, channels, (height, width), self.hidden)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        clean = (batch["input"] - self.mean) / self.std
        block = self.block(clean)
        found = self.painted(f, clean, block)
        area = block.sum() * clean.shape[1]
        loss = (block * (found - clean).square()).sum() / area
        blind = (block * clean.square()).sum() / area
        return loss, Aux(log={"inpainting_error": loss.detach() / blind})

    def block(self, x: Tensor) -> Tensor:
        """M, True inside: (batch, 1, height, width)."""
        inside: list[Tensor] = []
        for axis, side in zip((2, 3), self.sides, strict=True):
            room = x.shape[axis] - side
            start = (
                torch.full((len(x), 1), room // 2, device=x.device)
                if self.region == "centre"
                else torch.randint(room + 1, (len(x), 1), device=x.device)
            )
            place = torch.arange(x.shape[axis], device=x.device)
            inside.append((place >= start) & (place < start + side))
        return inside[0][:, None, :, None] & inside[1][:, None, None, :]

    def painted(self, f: Model, clean: Tensor, block: Tensor) -> Tensor:
        """g(f((1 − M) ⊙ x)), in standard units."""
        return full(self.decoder(f.features(self.mean + self.std * (clean * ~block))))

    def pictures(self, f: Model, x: Tensor) -> dict[str, Tensor]:
        clean = (x - self.mean) / self.std
        block = self.block(clean)
        painted = self.mean + self.std * self.painted(f, clean, block)
        return {
            "original": x,
            "cut out": torch.where(block, self.mean, x),
            "inpainted": torch.where(block, painted, x),
        }
