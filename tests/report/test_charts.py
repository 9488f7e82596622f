"""Drawings: labels that do not touch, bands that hold every seed, ticks on a logarithmic axis."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import binomtest

from thetastar.outer.evidence import Answers
from thetastar.report import calibration, confusion, cost, curves
from thetastar.report.charts import NARROW, WIDE, apart, responsive, svg

PLACES = st.lists(st.floats(-100, 100), min_size=1, max_size=7)


@given(PLACES)
def test_labels_keep_their_distance_and_their_order(places):
    found = apart(places, 3.0)
    order = sorted(range(len(places)), key=lambda i: places[i])
    assert all(found[b] - found[a] >= 3.0 - 1e-9 for a, b in itertools.pairwise(order))


def test_labels_move_as_little_as_squares_allow():
    places, gap = [0.0, 0.5, 0.7, 5.0], 1.0
    bounds = [{"type": "ineq", "fun": lambda x, i=i: x[i + 1] - x[i] - gap} for i in range(3)]
    best = minimize(lambda x: ((x - places) ** 2).sum(), [0.0, 1.0, 2.0, 5.0], constraints=bounds)
    np.testing.assert_allclose(apart(places, gap), best.x, atol=1e-5)


def test_a_drawing_has_one_name_and_the_colours_of_the_page():
    spec = {"data": {"values": [{"a": 1}]}, "mark": {"type": "point", "color": "var(--accent)", "clip": True},
            "encoding": {"x": {"field": "a", "type": "quantitative"}}}  # fmt: skip
    first, second = svg(spec, 'a "b" <c>'), svg(spec, "second")
    assert 'aria-label="a &#34;b&#34; &lt;c&gt;"' in first
    assert "var(--accent)" in first
    assert first.count("aria-") == 1
    ids = [re.findall(r' id="([^"]+)"', drawing) for drawing in (first, second)]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])
    assert all(f"url(#{name})" in first for name in ids[0])


def test_wide_and_narrow_pages_have_a_drawing_of_their_width():
    drawn = {"cnn": [[[10, 0.5], [20, 0.9]]], "k_nearest": [[[10, 0.4], [20, 0.8]]]}
    bands = {name: curves.band(seeds) for name, seeds in drawn.items()}
    both = responsive(lambda width: curves.chart(bands, "accuracy", width), "curves")
    widths = [float(width) for width in re.findall(r'<svg[^>]* width="([\d.]+)"', both)]
    assert widths == [pytest.approx(WIDE, abs=2), pytest.approx(NARROW, abs=2)]
    assert "cnn" in both


def test_a_band_reaches_from_the_lowest_to_the_highest_seed():
    rows = curves.band([[[10, 1.0], [20, 3.0]], [[10, 2.0], [20, 1.0]]])
    assert [(row["step"], row["mean"], row["low"], row["high"]) for row in rows] == [(10, 1.5, 1, 2), (20, 2, 1, 3)]
    stopped = curves.band([[[10, 1.0]], [[10, 3.0], [20, 5.0]]])
    assert stopped[-1] == {"step": 20, "mean": 3.0, "low": 1.0, "high": 5.0}
    long = curves.band([[[step, step] for step in range(1, 1000)]])
    assert len(long) <= curves.GRID
    assert all(row["mean"] == row["step"] for row in long)


def test_intervals_of_bins_are_those_of_wilson():
    frequency = (np.array([0.0, 20.0]), np.array([0.0, 0.9]), np.array([0.0, 0.85]))
    (row,) = calibration.bins(Answers(1, 20, frequency))
    known = binomtest(17, 20).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == (pytest.approx(known.low), pytest.approx(known.high))
    assert (row["from"], row["to"], row["count"]) == (0.5, 1.0, 20)


def test_shades_are_of_the_share_of_the_row_and_words_name_the_commonest():
    matrix = np.array([[90, 10], [1, 3]])
    rows = confusion.rows(matrix, ("no", "yes"))
    assert rows[0]["cells"][1]["shade"] == pytest.approx(np.sqrt(0.1 / 0.25), abs=1e-3)
    assert rows[1]["cells"][0]["shade"] == 1
    assert [row["right"] for row in rows] == ["90.0%", "75.0%"]
    assert confusion.commonest(matrix, ("no", "yes")) == ["no for yes: 10 of 100 (10.0%)", "yes for no: 1 of 4 (25.0%)"]


@pytest.mark.parametrize(("low", "high"), [(0.01, 2.0), (0.5, 3.0), (3.0, 5.0), (650, 200_000)])
def test_ticks_of_cost_lie_within_its_range(low, high):
    found = cost.ticks(low, high)
    assert found
    assert all(low <= tick <= high for tick in found)


def test_names_stand_beside_their_dots_without_touching():
    across, upward = [0.5, 0.52, 0.9], [0.4, 0.41, 0.8]
    left = [cost.turns_left(n, across, upward) for n in range(3)]
    assert left == [True, False, True]
    assert cost.beside([0.1, 0.15], [0.5, 0.5], [False, False]) == pytest.approx([0.465, 0.535])
    assert cost.beside([0.1, 0.6], [0.5, 0.5], [False, False]) == [0.5, 0.5]
