"""Bins of a column: equally full where values differ, and never spent on a value that repeats."""

from __future__ import annotations

import numpy as np
import pytest

from thetastar.functional.quantiles import BINS, MOST, edges, edges_of


def test_bins_of_a_continuous_column_hold_equally_many_rows() -> None:
    x = np.random.default_rng(0).exponential(size=4800)
    cuts = np.array(edges_of(x))
    counts, _ = np.histogram(x, cuts)
    assert len(counts) == BINS
    assert (cuts[0], cuts[-1]) == (x.min(), x.max())
    np.testing.assert_allclose(counts, 100, atol=3)


def test_few_values_are_all_edges() -> None:
    assert edges_of(np.array([3.0, 1.0, 1.0, 2.0])) == (1.0, 2.0, 3.0)
    assert edges_of(np.array([5.0, 5.0])) == (5.0,)


def test_a_value_that_nearly_always_stands_leaves_the_bins_to_the_others() -> None:
    """Of plain quantiles of such a column nearly all fall on zero: two bins are left for 8% of the rows."""
    rng = np.random.default_rng(1)
    x = np.where(rng.random(20_000) < 0.92, 0.0, rng.lognormal(8, 1, 20_000))
    plain = np.unique(np.quantile(x, np.linspace(0, 1, BINS + 1)))
    cuts = np.array(edges_of(x))
    assert len(plain) <= 6
    assert len(cuts) == BINS + 1
    counts, _ = np.histogram(x[x > 0], cuts[1:])
    assert counts.max() <= 1.2 * counts.sum() / len(counts)


@pytest.mark.parametrize("columns", [3, 1000, 10_000])
def test_many_columns_share_the_bins(columns: int) -> None:
    x = np.random.default_rng(2).normal(size=(60, columns))
    found = edges(x)
    assert sum(len(cuts) - 1 for cuts in found) <= max(MOST, columns)
    assert all(len(cuts) >= 2 and (np.diff(cuts) > 0).all() for cuts in found)
