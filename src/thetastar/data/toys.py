"""Small made-up sets with a known answer, for looking, teaching and testing."""

from __future__ import annotations

import numpy as np

from thetastar.data.arrays import arrays
from thetastar.protocols import Source
from thetastar.registry import Count, NonNegative

__all__ = ["bars", "blobs", "moons", "plane"]


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
    offset = random.integers(-2, 3, rows)[:, None, None]
    y, x = np.mgrid[0:8, 0:8] - 3.5
    along = np.choose(labels[:, None, None], [y[None], x[None], (x - y)[None] / 2, (x + y)[None] / 2])
    images = 0.1 + 0.8 * (np.abs(along - offset) <= 0.5) + noise * random.standard_normal((rows, 8, 8))
    return arrays(inputs=images[:, None].clip(0, 1).astype(np.float32), targets=labels, title="bars")


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
