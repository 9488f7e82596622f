"""A convolutional net over the spectrogram of a clip."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.layers.activation import Activation, phi
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import head
from thetastar.layers.spectrogram import LogMel, only_sound
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["audio_cnn"]


class audio_cnn(Model):
    """Log-mel spectrogram → batch norm of each band → blocks of (3×3 convolution, batch norm, φ, halving) → linear.

    What is left is averaged over pitch; its mean and maximum over time are added, so that clips of any length fit.

    Args:
        schema: waveforms.
        channels: of each block; each halves pitch and time.
        bands: of the spectrogram.
        activation: φ.
        dropout: share of the features dropped in training, in [0, 1).

    Shapes: (batch, samples) → (batch, outputs).

    Source: Kong et al. 2020, PANNs: large-scale pretrained audio neural networks for audio pattern recognition, made
    small.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        channels: tuple[Count, ...] = (32, 64, 128),
        bands: Count = 40,
        activation: Activation = "relu",
        dropout: BelowOne = 0.0,
    ) -> None:
        super().__init__()
        field = only_sound(schema, "audio_cnn")
        self.spectrogram = LogMel(field.rate or 1, bands)
        fewest, frames = 2 ** len(channels), self.spectrogram.frames(field.shape[0])
        if min(bands, frames) < fewest:
            got = f"audio_cnn on {frames} spectra of {bands} bands: {len(channels)} halvings leave nothing"
            raise UserError(got, f"at least {fewest} of each", "shorten model.channels")
        self.scale = nn.BatchNorm1d(bands)
        before = [1, *channels[:-1]]
        self.blocks = nn.Sequential(
            *(convolution(depth, width, activation) for depth, width in zip(before, channels, strict=True))
        )
        self.drop = Dropout(dropout)
        self.width = channels[-1]
        self.head = head(self.width, schema)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "tones", "model": {"name": "audio_cnn", "channels": [4, 8], "bands": 12}}

    def features(self, x: Tensor) -> Tensor:
        h = self.blocks(self.scale(self.spectrogram(x))[:, None])  # (batch, channels, bands, frames)
        over_time = h.mean(2)
        return self.drop(over_time.mean(-1) + torch.amax(over_time, -1))


def convolution(before: int, after: int, activation: Activation) -> nn.Sequential:
    """Convolution 3×3, batch norm, φ, maximum of 2×2."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), phi(activation), nn.MaxPool2d(2)
    )
