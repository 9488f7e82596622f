"""Thresholds that cost the least, against trying every one of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar.functional.decisions import NEVER, bayes_threshold, best_threshold, mean_cost

shares = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1), st.floats(0, 1, width=32))
rows = st.lists(st.tuples(shares, st.booleans()), min_size=1, max_size=12)
prices = st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(any)


@settings(max_examples=300, deadline=None)
@given(rows, prices)
def test_no_threshold_costs_less(rows: list[tuple[float, bool]], costs: tuple[int, int]) -> None:
    """Every set of answers that a threshold can give is tried, and counted row by row in whole numbers."""
    found = best_threshold([p for p, _ in rows], [y for _, y in rows], costs)

    def cost(threshold: float) -> int:
        return sum(costs[0] if p >= threshold and not y else costs[1] if p < threshold and y else 0 for p, y in rows)

    assert 0 <= found <= NEVER
    assert cost(found) == min(map(cost, [0.0, NEVER, *(p for p, _ in rows)]))
    mean = mean_cost([p for p, _ in rows], [y for _, y in rows], found, costs)
    assert mean == pytest.approx(cost(found) / len(rows))


def test_the_threshold_of_theory_costs_the_least_where_probabilities_are_right() -> None:
    """E[cost | p, say yes] = (1 − p) c_FP and E[cost | p, say no] = p c_FN: the better answer changes at t*."""
    costs = (1.0, 4.0)
    for p in np.linspace(0, 1, 101):
        assert (p >= bayes_threshold(costs)) == ((1 - p) * costs[0] <= p * costs[1])
    random = np.random.default_rng(0)
    p = random.random(40_000)
    y = random.random(40_000) < p
    assert best_threshold(p, y, costs) == pytest.approx(bayes_threshold(costs), abs=0.03)


def test_among_equals_the_one_of_theory_or_the_nearest() -> None:
    assert best_threshold([0.1, 0.9], [False, True], (1, 1)) == 0.5
    assert best_threshold([0.1, 0.9], [False, True], (1, 4)) == 0.2
    assert best_threshold([0.1, 0.3], [False, True], (1, 1)) == pytest.approx(0.2)  # t* = 0.5 would miss the 0.3
    assert best_threshold([1.0], [False], (1, 1)) == NEVER
    assert best_threshold([0.4], [True], (0, 1)) == 0.0
