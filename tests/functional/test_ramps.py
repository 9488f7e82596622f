"""Ramps: where they begin, where they end, and their shape between."""

from __future__ import annotations

import math

import pytest

from thetastar.functional.ramps import gaussian, linear
from thetastar.protocols import Clock


def at(progress: float) -> Clock:
    return Clock(0, step=round(1000 * progress), steps=1000)


@pytest.mark.parametrize(("progress", "value"), [(0.0, 0.0), (0.1, 0.0), (0.2, 0.2), (0.35, 0.5), (0.6, 1.0), (1, 1.0)])
def test_a_line_from_the_start_on(progress: float, value: float) -> None:
    assert linear(at(progress), 0.5, 0.1) == pytest.approx(value)


@pytest.mark.parametrize(("progress", "value"), [(0, math.exp(-5)), (0.1, math.exp(-1.25)), (0.2, 1.0), (0.9, 1.0)])
def test_a_gaussian_that_ends_flat(progress: float, value: float) -> None:
    assert gaussian(at(progress), 0.2) == pytest.approx(value)


def test_without_a_ramp_the_weight_is_there_from_the_start() -> None:
    assert linear(at(0), 0.0) == gaussian(at(0), 0.0) == 1.0
    assert (linear(at(0.299), 0.0, 0.3), linear(at(0.3), 0.0, 0.3)) == (0.0, 1.0)
