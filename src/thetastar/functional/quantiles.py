"""Where to cut a column of numbers into bins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 48  # a column
MOST = 8192  # in all: many columns share them


def edges(table: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    """Edges of the bins of each column of (rows, columns) numbers, none missing."""
    bins = max(1, min(BINS, MOST // table.shape[1]))
    return tuple(edges_of(column, bins) for column in table.T)


def edges_of(column: NDArray[Any], bins: int = BINS) -> tuple[float, ...]:
    """b₀ < … < b_T, T ≤ bins, from the least to the greatest value; all values where they are few enough.

    A value that holds more than its share of the rows is an edge; the other edges are quantiles of the other rows. So a
    column that is nearly always zero still has its bins where it is not.

    Args:
        column: (rows,) numbers, none missing.
        bins: at most so many, ≥ 1.
    """
    values, counts = np.unique(column, return_counts=True)
    if len(values) <= bins + 1:
        return tuple(values.tolist())
    heavy = np.zeros(len(values), dtype=bool)
    heavy[[0, -1]] = True  # the ends
    while True:
        left = bins + 1 - int(heavy.sum())
        more = heavy | (counts * (left + 1) > counts[~heavy].sum())
        if left == 0 or (more == heavy).all():
            break
        heavy = more
    others = np.repeat(values[~heavy], counts[~heavy])
    levels = np.arange(1, left + 1) / (left + 1)
    cuts = np.quantile(others, levels, method="inverted_cdf") if left else np.empty(0)
    return tuple(np.union1d(values[heavy], cuts).tolist())
