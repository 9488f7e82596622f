"""COLA: two stretches of one clip sound alike, those of different clips do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.collapse import spread
from thetastar.functional.losses import full
from thetastar.functional.nested import rows_of
from thetastar.layers.projection import features_of
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema
from thetastar.registry import Count, Fraction

__all__ = ["cola"]


class cola(Pretext):
    """L = −1/N Σ_i log (e^{s_ii} / Σ_j e^{s_ij}), s_ij = g(f(x_i))ᵀ W g(f(x'_j)), with stretches x, x' of each clip.

    g is linear, normalised over its entries and squashed by tanh. The stretches lie anywhere in the clip and may
    overlap; those of the other clips of the batch are the negatives. The learnt W lets alike mean more than close. The
    trace shows the "accuracy" of telling the own stretch from the others.

    Args:
        share: length of a stretch over that of the clip, in (0, 1).
        outputs: entries of g.

    Shapes: clips (batch, samples) → features (batch, width).

    Source: Saeed, Grangier and Zeghidour 2021, Contrastive learning of general-purpose audio representations.
    """

    kinds = frozenset({"waveform"})
    couples = True

    def __init__(self, *, share: Fraction = 0.6, outputs: Count = 128) -> None:
        super().__init__()
        self.share, self.outputs = share, outputs

    @classmethod
    def example(cls) -> Mapping[str, Any]:
        model = {"name": "audio_cnn", "channels": [4, 8], "bands": 12}
        return {"data": "tones", "model": model, "method": {"name": "cola", "outputs": 16}}

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        width = features_of(f, schema, "cola")
        self.projector = nn.Sequential(nn.Linear(width, self.outputs), nn.LayerNorm(self.outputs), nn.Tanh())
        self.similarity = nn.Linear(self.outputs, self.outputs, bias=False)  # W
        nn.init.normal_(self.similarity.weight, std=self.outputs**-0.5)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        x = batch["input"]
        if rows_of(batch) < 2:
            got = "cola on a batch of one clip: the other clips are the negatives"
            raise UserError(got, "at least two a batch", "raise data.batch_size")
        length = max(1, round(self.share * x.shape[1]))
        stretches = torch.cat([stretch(x, length), stretch(x, length)])
        first, second = self.projector(f.features(stretches)).chunk(2)  # batch norm sees both as one batch
        with torch.autocast(x.device.type, enabled=False):
            scores = full(first) @ self.similarity.weight @ full(second).T  # (batch, batch)
        own = torch.arange(len(x), device=x.device)
        right = (scores.argmax(1) == own).float().mean()
        value = nn.functional.cross_entropy(scores, own)
        return value, Aux(log={"accuracy": right, "spread": spread(first.detach())})


def stretch(x: Tensor, length: int) -> Tensor:
    """A stretch of each clip, from anywhere in it: (batch, samples) → (batch, length)."""
    starts = torch.randint(x.shape[1] - length + 1, (len(x), 1), device=x.device)
    return x.gather(1, starts + torch.arange(length, device=x.device))
