"""How error falls with the number of training rows: a power law, and what it says of sizes beyond those measured.

    E(n) = a + b n^(−c),    a, b ≥ 0, 0 < c ≤ 2,

by least squares on the relative residuals E(n)/Ē(n) − 1, as errors vary in proportion to their size. For each c of a
grid a and b are two numbers of a linear problem, so the fit finds the best of the grid without a start to choose.
Source: Hestness et al. 2017, Deep learning scaling is predictable, empirically.

Intervals: the mean errors at all sizes are drawn again together, as other seeds and other test examples would have
given them, a t draw of S − 1 degrees for S seeds, and the law is fitted to each draw; percentiles of what they say of a
size are its interval. Sizes share seeds and examples, so their errors move together, and so do the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thetastar.outer.statistics import Array

DRAWS = 1000
LEVEL = 0.95
EXPONENTS = np.linspace(0.02, 2.0, 100)
SMALL = 0.05  # of the largest error: smaller ones count no more than that, so that an error of 0 can be fitted
FEWEST = 4  # sizes: three numbers are fitted


@dataclass(frozen=True)
class Law:
    """a + b n^(−c), with what other samples would have given, one an entry.

    Attributes:
        a, b, c: fitted.
        draws: (draws, 3), a, b and c of each draw.
    """

    a: float
    b: float
    c: float
    draws: Array

    def __call__(self, size: float) -> float:
        return float(self.a + self.b * size**-self.c)

    def interval(self, size: float) -> tuple[float, float]:
        """The 95% interval of the error that training on so many rows would give."""
        a, b, c = self.draws.T
        return between(a + b * size**-c)

    def to_json(self) -> dict[str, Any]:
        ranges = {name: between(column) for name, column in zip("abc", self.draws.T, strict=True)}
        return {"a": self.a, "b": self.b, "c": self.c, "intervals": ranges}


def between(draws: Array) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def fitted(sizes: Sequence[int], errors: Array, seed: int = 0) -> Law:
    """The law of mean errors at some sizes.

    Args:
        sizes: rows, ascending, at least four.
        errors: of every size, seed and test example, the seeds paired over sizes.

    Shapes: errors (sizes, seeds, examples), at least 2 seeds.
    """
    count, seeds, examples = errors.shape
    assert count == len(sizes) >= FEWEST
    assert seeds >= 2
    random = np.random.default_rng(seed)
    mean = errors.mean((1, 2))
    by_seed, by_example = errors.mean(2) - mean[:, None], errors.mean(1) - mean[:, None]
    degrees = seeds - 1
    wide = np.sqrt(degrees / random.chisquare(degrees, (DRAWS, 1)))
    moved = wide * (random.standard_normal((DRAWS, seeds)) @ by_seed.T) / np.sqrt(seeds * degrees)
    moved += random.standard_normal((DRAWS, examples)) @ by_example.T / examples
    every = np.concatenate([mean[None], np.maximum(mean + moved, 0.0)])  # (1 + draws, sizes)
    found = solved(np.asarray(sizes, np.float64), every, np.maximum(mean, SMALL * max(mean.max(), 1e-12)))
    a, b, c = found[0]
    return Law(float(a), float(b), float(c), found[1:])


def solved(sizes: Array, errors: Array, scale: Array) -> Array:
    """a, b and c of each row of errors, the best exponent of the grid.

    Shapes: sizes (m,), errors (rows, m), scale (m,) → (rows, 3).
    """
    y, one = errors / scale, 1.0 / scale
    best, left = np.zeros((len(y), 3)), np.full(len(y), np.inf)
    for c in EXPONENTS:
        falling = sizes**-c / scale
        for a, b in candidates(y, one, falling):
            rest = np.square(y - np.outer(a, one) - np.outer(b, falling)).sum(1)
            rest = np.where((a >= 0) & (b >= 0), rest, np.inf)
            better = rest < left
            left = np.where(better, rest, left)
            best[better] = np.stack([a, b, np.full(len(y), c)], 1)[better]
    return best


def candidates(y: Array, one: Array, falling: Array) -> list[tuple[Array, Array]]:
    """Where least squares with a, b ≥ 0 may lie: inside, at a = 0, at b = 0."""
    nothing = np.zeros(len(y))
    inside = y @ np.linalg.pinv(np.stack([one, falling], 1)).T
    return [
        (inside[:, 0], inside[:, 1]),
        (nothing, y @ falling / (falling @ falling)),
        (y @ one / (one @ one), nothing),
    ]
