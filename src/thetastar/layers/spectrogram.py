"""Sound as a picture: how much of each pitch there is at each moment."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.layers.ends import only_input
from thetastar.protocols import Field, Schema

FLOOR = 1e-6  # of the power, below which all is silence


class LogMel(nn.Module):
    """log(M |STFT(x)|² + 10⁻⁶): power of a Hann window's Fourier transform, gathered in bands of equal width in mel.

    The mel scale, m = 2595 log₁₀(1 + f / 700), follows how far apart two pitches sound; M holds triangles whose feet
    are their neighbours' peaks.

    Args:
        rate: samples a second.
        bands: of mel, from 0 to half the rate.
        window: seconds that a spectrum is taken over; its samples are filled up to a power of two.
        hop: seconds from one spectrum to the next.

    Shapes: (batch, samples) → (batch, bands, frames), frames = 1 + ⌊samples / hop⌋.

    Source: Davis and Mermelstein 1980, Comparison of parametric representations for monosyllabic word recognition in
    continuously spoken sentences; Stevens, Volkmann and Newman 1937, A scale for the measurement of the psychological
    magnitude pitch.
    """

    hann: Tensor
    filters: Tensor

    def __init__(self, rate: int, bands: int = 40, window: float = 0.025, hop: float = 0.01) -> None:
        super().__init__()
        self.window, self.hop = max(round(window * rate), 2), max(round(hop * rate), 1)
        self.size = 2 ** math.ceil(math.log2(self.window))
        self.register_buffer("hann", torch.hann_window(self.window), persistent=False)
        self.register_buffer("filters", triangles(rate, bands, self.size), persistent=False)

    def frames(self, samples: int) -> int:
        """How many spectra a clip gives."""
        return 1 + samples // self.hop

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # the quiet bands would drown in bfloat16
            x = nn.functional.pad(x.float(), (self.size // 2, self.size // 2))
            spectra = torch.stft(
                x, self.size, self.hop, self.window, self.hann, center=False, return_complex=True
            )  # (batch, 1 + size / 2, frames)
            power = spectra.real.square() + spectra.imag.square()
            return torch.log(self.filters @ power + FLOOR)


def triangles(rate: int, bands: int, size: int) -> Tensor:
    """(bands, 1 + size / 2): the share that each frequency of a transform has in each band."""
    pitch = torch.linspace(0, 2595 * math.log10(1 + rate / 2 / 700), bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (pitch / 2595) - 1)  # Hz
    at = torch.linspace(0, rate / 2, 1 + size // 2, dtype=torch.float64)
    rising = (at - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - at) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp_min(0).float()


def only_sound(schema: Schema, model: str) -> Field:
    """The waveform that a model reads; anything else is refused."""
    field = only_input(schema, model)
    if field.kind != "waveform":
        raise UserError(f"{model} on {field.kind} inputs", "waveforms", "choose another model")
    return field
