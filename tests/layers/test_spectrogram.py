"""The log-mel spectrogram against scipy's transform and bands computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from thetastar.layers.spectrogram import FLOOR, LogMel


@pytest.mark.parametrize(("rate", "samples", "bands"), [(8000, 4000, 40), (1000, 730, 12)])
def test_log_mel_equals_scipy_and_triangles_by_hand(rate: int, samples: int, bands: int) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((2, samples))
    layer = LogMel(rate, bands)
    size, hop, window = layer.size, layer.hop, layer.window
    _, _, spectra = scipy.signal.stft(
        np.pad(x, ((0, 0), (size // 2, size // 2))),
        nperseg=size,
        noverlap=size - hop,
        window=np.pad(scipy.signal.get_window("hann", window), ((size - window) // 2, -(-(size - window) // 2))),
        boundary=None,
        padded=False,
    )
    scale = scipy.signal.get_window("hann", window).sum()  # which scipy divides by
    power = np.abs(spectra * scale) ** 2
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 1400), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frequencies = np.arange(size // 2 + 1) * rate / size
    filters = np.stack([np.interp(frequencies, edges[b : b + 3], [0, 1, 0], 0, 0) for b in range(bands)])
    expected = np.log(filters @ power + FLOOR)
    out = layer(torch.from_numpy(x).float())
    assert out.shape == (2, bands, layer.frames(samples))
    np.testing.assert_allclose(out.numpy(), expected, rtol=2e-3, atol=2e-3)


def test_a_tone_is_loudest_in_the_band_around_its_pitch() -> None:
    rate, layer = 8000, LogMel(8000, 40)
    peaks = layer.filters.argmax(1) * rate / layer.size  # Hz
    for pitch in (300.0, 900.0, 2500.0):
        x = torch.sin(2 * torch.pi * pitch * torch.arange(4000) / rate)[None]
        loudest = int(layer(x)[0].mean(1).argmax())
        assert peaks[max(loudest - 1, 0)] - 50 <= pitch <= peaks[min(loudest + 1, 39)] + 50
