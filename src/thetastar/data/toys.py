"""Small made-up sets with a known answer, for looking, teaching and testing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thetastar.data.arrays import arrays
from thetastar.protocols import Source
from thetastar.registry import Count, NonNegative

__all__ = ["bars", "blobs", "moons", "plane", "trio", "wave"]


def blobs(*, rows: Count = 400, classes: Count = 3, spread: NonNegative = 0.5, seed: int = 0) -> Source:
    """Gaussian clouds in the plane, their centres evenly on a circle of radius 2.

    Args:
        rows: examples.
        classes: clouds, one class each.
        spread: standard deviation of a cloud.
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    angle = 2 * np.pi * labels / classes
    centres = 2 * np.stack([np.cos(angle), np.sin(angle)], 1)
    points = centres + spread * random.standard_normal((rows, 2))
    return arrays(inputs=points.astype(np.float32), targets=labels, title="blobs")


def moons(*, rows: Count = 400, noise: NonNegative = 0.1, seed: int = 0) -> Source:
    """Two interleaved half circles, one class each: not linearly separable.

    Args:
        rows: examples.
        noise: standard deviation added to both coordinates.
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    angle = np.pi * random.random(rows)
    sign = 1 - 2 * labels
    points = np.stack([sign * np.cos(angle) + labels, sign * np.sin(angle) + 0.5 * labels], 1)
    points += noise * random.standard_normal(points.shape)
    return arrays(inputs=points.astype(np.float32), targets=labels, title="moons")


def bars(*, rows: Count = 256, noise: NonNegative = 0.2, seed: int = 0) -> Source:
    """Grey 8×8 images of a bright bar at a random place: horizontal, vertical or along either diagonal (four classes).

    Args:
        rows: examples.
        noise: standard deviation added to every pixel before clipping to [0, 1].
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % 4
    return arrays(inputs=_barred(labels, noise, random), targets=labels, title="bars")


def _barred(labels: NDArray[np.int64], noise: float, random: np.random.Generator) -> NDArray[np.float32]:
    """(rows, 1, 8, 8): a bar along y, x or either diagonal."""
    offset = random.integers(-2, 3, len(labels))[:, None, None]
    y, x = np.mgrid[0:8, 0:8] - 3.5
    along = np.choose(labels[:, None, None], [y[None], x[None], (x - y)[None] / 2, (x + y)[None] / 2])
    images = 0.1 + 0.8 * (np.abs(along - offset) <= 0.5) + noise * random.standard_normal((len(labels), 8, 8))
    return images[:, None].clip(0, 1).astype(np.float32)


def trio(*, rows: Count = 400, noise: NonNegative = 0.2, seed: int = 0) -> Source:
    """A table, a text (which of ten words it has) and an image an example: each has one of three votes for its class.

    The majority of a, b and c, with a the sign of the table's first number, b whether the image's bar is vertical, c
    which half of the words is frequent. So whoever sees one input, or two, is right in at most three cases of four.

    Args:
        rows: examples.
        noise: standard deviation added to every pixel before clipping to [0, 1].
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    a, b, c = ((np.arange(rows) // 2**bit) % 2 for bit in range(3))
    table = random.standard_normal((rows, 3))
    table[:, 0] = (2 * a - 1) * (0.2 + np.abs(table[:, 0]))
    likely = np.where(c[:, None] == np.repeat([0, 1], 5), 0.5, 0.05)
    words = (random.random((rows, 10)) < likely).astype(np.float32)
    inputs = {"table": table.astype(np.float32), "text": words, "image": _barred(b, noise, random)}
    return arrays(inputs=inputs, targets=(a + b + c) // 2, title="trio")


def wave(*, rows: Count = 400, noise: NonNegative = 0.0, seed: int = 0) -> Source:
    """Regression of two swings of a sine: y = sin 2πx + noise, x uniform on [−1, 1].

    Args:
        rows: examples.
        noise: standard deviation added to y.
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, (rows, 1))
    y = np.sin(2 * np.pi * x[:, 0]) + noise * random.standard_normal(rows)
    return arrays(inputs=x.astype(np.float32), targets=y.astype(np.float32), title="wave")


def plane(*, rows: Count = 400, entries: Count = 4, noise: NonNegative = 0.1, seed: int = 0) -> Source:
    """Regression of a tilted plane: y = w·x + 3 + noise, with w = (1, −1/2, 1/3, …) and standard normal x.

    Args:
        rows: examples.
        entries: of x.
        noise: standard deviation added to y.
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, entries))
    w = (-1.0) ** np.arange(entries) / np.arange(1, entries + 1)
    y = x @ w + 3 + noise * random.standard_normal(rows)
    return arrays(inputs=x.astype(np.float32), targets=y.astype(np.float32), title="plane")
