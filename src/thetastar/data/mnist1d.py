"""MNIST-1D: ten short signals, distorted; generated, so there is nothing to download."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thetastar.data.arrays import arrays
from thetastar.protocols import Source
from thetastar.registry import Count

__all__ = ["mnist1d"]

Signal = NDArray[np.float64]

TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
# the published constants
PADDING = (36, 60)
SCALE, SHEAR = 0.4, 0.75
TRANSLATION = 48
CORRELATED_NOISE, NOISE, SMOOTHING = 0.25, 0.02, 2.0
WIDE, LENGTH = 12 + PADDING[1], 40


def mnist1d(*, rows: Count = 5000, seed: int = 42) -> Source:
    """Ten classes of one-dimensional signals of 40 points: 4,000 to train on, 1,000 to test.

    x = resample(shear(shift(scale · stretch(pad(template))) + noise)): a template of 12 points is padded with 36 to
    60 zeros, stretched to 72 points, scaled by 1 ± 0.2 and shifted round by up to 47 points; Gaussian-filtered noise
    fills the padding, white noise lies over everything, a line of slope up to ± 0.375 is taken off and 40 points are
    kept. The whole set is then brought to mean 0 and deviation 1. The draws are our own, so single examples differ
    from the published file.

    Args:
        rows: examples, a tenth in each class; four fifths are the given train split.
        seed: of all draws.

    Source: Greydanus 2020, Scaling down deep learning.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % len(TEMPLATES)
    padding = random.integers(PADDING[0], PADDING[1] + 1, rows)
    scale = 1 + SCALE * (random.random(rows) - 0.5)
    shift = random.integers(0, TRANSLATION, rows)
    slope = SHEAR * (random.random(rows) - 0.5)
    correlated = CORRELATED_NOISE * random.standard_normal((rows, WIDE))
    white = NOISE * random.standard_normal((rows, WIDE))
    x = distorted(templates()[labels], padding, scale, shift, correlated, white, slope)
    x = (x - x.mean()) / x.std()
    order = random.permutation(rows)
    cut = round(0.8 * rows)
    given = {"train": np.arange(cut), "test": np.arange(cut, rows)}
    return arrays(inputs=x[order].astype(np.float32), targets=labels[order], given=given, title="mnist1d")


def templates() -> Signal:
    """(classes, 12): the templates with deviation 1/6, starting at 0."""
    x = np.asarray(TEMPLATES, dtype=np.float64)
    x = (x - x[:, :1]) / x.std(1, keepdims=True)
    return x / 6


def distorted(
    x: Signal,
    padding: NDArray[np.int64],
    scale: Signal,
    shift: NDArray[np.int64],
    correlated: Signal,
    white: Signal,
    slope: Signal,
) -> Signal:
    """(rows, 12) signals → (rows, 40), each row with its own draws."""
    from scipy.ndimage import gaussian_filter1d

    wide, signal = np.empty((2, len(x), WIDE))
    for pad in np.unique(padding):
        mine = padding == pad
        stretch = resampling(x.shape[1] + pad, WIDE)[
            :, : x.shape[1]
        ]  # the padding is zero, so its columns are left out
        wide[mine] = x[mine] @ stretch.T
        signal[mine] = stretch.sum(1)
    wide *= scale[:, None]
    place = (np.arange(WIDE) - shift[:, None]) % WIDE
    wide, signal = np.take_along_axis(wide, place, 1), np.take_along_axis(signal, place, 1)
    wide = np.where(signal > 0, wide, gaussian_filter1d(correlated, SMOOTHING, axis=1)) + white
    wide -= slope[:, None] * np.linspace(-0.5, 0.5, WIDE)
    return wide @ resampling(WIDE, LENGTH).T


def resampling(old: int, new: int) -> Signal:
    """(new, old): the matrix of linear interpolation from `old` to `new` even points over the same interval."""
    place = np.linspace(0, old - 1, new)
    left = np.minimum(place.astype(np.int64), old - 2)
    share = place - left
    matrix = np.zeros((new, old))
    matrix[np.arange(new), left] = 1 - share
    matrix[np.arange(new), left + 1] += share
    return matrix
