"""The figure of a decomposition: parts laid end to end reach to the error."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from thetastar.outer.decompose import Decomposition, Terms
from thetastar.outer.parts import squared, zero_one
from thetastar.report.decomposition import drawing, panel


@pytest.mark.parametrize("noise", [None, 0.05])
def test_each_part_begins_where_the_one_before_it_ended(noise):
    random = np.random.default_rng(0)
    labels, target = random.integers(0, 3, (5, 40)), random.integers(0, 3, 40)
    said = np.eye(3)[labels]
    for parts, unit in (
        (zero_one(labels, target, 3, noise), 100),
        (squared(said, np.eye(3)[target], noise, "brier"), 1),
    ):
        *pieces, whole = panel(parts)["data"]["values"]
        assert len(pieces) == (2 if noise is None else 3)
        assert pieces[0]["begin"] == whole["begin"] == 0
        for one, following in itertools.pairwise(pieces):
            assert following["begin"] == pytest.approx(one["end"])
        assert pieces[-1]["end"] == pytest.approx(whole["end"]) == unit * parts.values["error"]
        for row in pieces:
            assert row["low"] <= row["end"] <= row["high"]
    found = Decomposition("made", "mlp", Terms(), 40, 40, [zero_one(labels, target, 3)])
    svg = drawing(found)
    assert "made, MLP: 0-1 loss" in svg
    assert "bias and noise" in svg
