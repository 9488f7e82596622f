"""A Transformer over the spectrogram of a clip."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.positions import sinusoidal
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import head
from thetastar.layers.spectrogram import FLOOR, LogMel, only_sound
from thetastar.layers.transformer import Block
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["audio_transformer"]


class audio_transformer(Model):
    """Log-mel spectra, a few together → linear, with waves of their place → blocks → mean over time → linear.

    Every band is brought to mean 0 and deviation 1 by batch norm. Clips of any length fit.

    Args:
        schema: waveforms.
        width: of a token, a multiple of `heads` and of 4.
        depth: blocks.
        heads: of the attention.
        together: spectra that make one token.
        bands: of the spectrogram.
        dropout: share dropped in training in both parts of a block, in [0, 1).

    Shapes: (batch, samples) → (batch, outputs).

    Source: Gong, Chung and Glass 2021, AST: audio spectrogram transformer, with spectra as tokens as in Baevski, Zhou,
    Mohamed and Auli 2020, wav2vec 2.0.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        width: Count = 128,
        depth: Count = 3,
        heads: Count = 4,
        together: Count = 2,
        bands: Count = 40,
        dropout: BelowOne = 0.0,
    ) -> None:
        super().__init__()
        field = only_sound(schema, "audio_transformer")
        if width % heads or width % 4:
            near = math.lcm(heads, 4) * max(1, round(width / math.lcm(heads, 4)))
            got = f"audio_transformer with width {width} and {heads} heads"
            raise UserError(got, "a width that the heads divide, and 4", f"set model.width={near}")
        self.spectrogram = LogMel(field.rate or 1, bands)
        frames = self.spectrogram.frames(field.shape[0])
        if frames < together:
            got = f"audio_transformer on clips of {frames} spectra"
            raise UserError(got, f"at least {together}", "lower model.together")
        self.together = together
        self.scale = nn.BatchNorm1d(bands)
        self.embed = nn.Linear(together * bands, width)
        self.drop = Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout=dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.width = width
        self.head = head(width, schema)

    @classmethod
    def example(cls) -> dict[str, Any]:
        model = {"name": "audio_transformer", "width": 16, "depth": 1, "heads": 2, "bands": 12}
        return {"data": "tones", "model": model}

    def tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra that make a token, in units of each band, and whether there is sound in it.

        Shapes: (batch, samples) → (batch, tokens, together · bands), (batch, tokens).
        """
        power = self.spectrogram(x)  # (batch, bands, frames)
        count = power.shape[-1] // self.together
        power = power[..., : count * self.together]
        heard = power.amax(1).unflatten(1, (count, self.together)).amax(2) > math.log(2 * FLOOR)
        return self.scale(power).transpose(1, 2).reshape(len(x), count, -1), heard

    def encoded(self, z: Tensor) -> Tensor:
        """Embedded tokens, at their places, through all blocks: (batch, tokens, width) → the same."""
        places = sinusoidal((z.shape[1], 1), self.width).to(z)
        return self.norm(self.blocks(self.drop(z + places)))

    def features(self, x: Tensor) -> Tensor:
        tokens, _ = self.tokens(x)
        return self.encoded(self.embed(tokens)).mean(1)
