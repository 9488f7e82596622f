"""The power law: exact on exact curves, and intervals beyond the largest size that hold what comes."""

from __future__ import annotations

import numpy as np
import pytest

from thetastar.outer.power import fitted

SIZES = [50, 100, 200, 400, 800]
REPEATS = 60


def law(n, a, b, c):
    return a + b * np.asarray(n, dtype=float) ** -c


@pytest.mark.parametrize(("a", "b", "c"), [(0.05, 2.0, 0.5), (0.0, 1.5, 0.3), (0.1, 5.0, 1.0)])
def test_an_exact_law_is_found_again(a, b, c):
    """Errors without noise: the fit is the law itself, whose exponent lies on the grid, and its interval a point."""
    errors = np.tile(law(SIZES, a, b, c)[:, None, None], (1, 3, 4))
    found = fitted(SIZES, errors)
    assert (found.a, found.b, found.c) == pytest.approx((a, b, c), abs=1e-6)
    for size in (1600, 3200):
        assert found(size) == pytest.approx(law(size, a, b, c))
        assert found.interval(size) == pytest.approx((law(size, a, b, c),) * 2)


def drawn(random, a, b, c, seeds, examples=100):
    """Errors whose seeds and examples are shared by all sizes, besides what is each size's own."""
    size, seed, example = (
        random.normal(0, spread, shape)
        for spread, shape in ((0.035, (5, seeds, 1)), (0.035, (1, seeds, 1)), (0.3, (1, 1, examples)))
    )
    rest = random.normal(0, 0.7, (5, seeds, examples))
    return law(SIZES, a, b, c)[:, None, None] * (1 + size + seed + example + rest)


@pytest.mark.shows("X5")
@pytest.mark.parametrize(("a", "b", "c", "seeds"), [(0.05, 2.0, 0.5, 5), (0.0, 2.0, 0.4, 8)])
def test_extrapolation_holds_the_truth_as_often_as_it_says(a, b, c, seeds):
    random = np.random.default_rng(seeds)
    hits = dict.fromkeys((2, 4), 0)
    for _ in range(REPEATS):
        found = fitted(SIZES, drawn(random, a, b, c, seeds))
        for factor in hits:
            low, high = found.interval(factor * SIZES[-1])
            hits[factor] += low <= law(factor * SIZES[-1], a, b, c) <= high
    for count in hits.values():
        assert count / REPEATS >= 0.88  # 2.4 standard errors of 60 repeats below 95%


def test_intervals_grow_with_the_distance_and_shrink_with_examples():
    random = np.random.default_rng(0)
    few, many = (fitted(SIZES, drawn(random, 0.05, 2.0, 0.5, 5, examples)) for examples in (40, 4000))

    def width(found, size):
        low, high = found.interval(size)
        return high - low

    assert width(few, 3200) > width(many, 3200)
    for found in (few, many):
        assert width(found, 3200) / found(3200) > width(found, 800) / found(800)


def test_errors_of_0_pull_the_law_down_and_none_at_all_is_0_everywhere():
    """They have no relative residual of their own."""
    errors = np.zeros((5, 3, 100))
    errors[0, :, :20], errors[1, :, :5] = 1.0, 1.0
    found = fitted(SIZES, errors)
    assert found(50) > 0.05 > 0.01 > found(800)
    nothing = fitted(SIZES, np.zeros((5, 3, 20)))
    assert nothing(100) == 0.0
    assert nothing.interval(100) == (0.0, 0.0)
