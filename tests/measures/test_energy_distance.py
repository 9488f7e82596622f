"""Energy distance against SciPy in one dimension and a double loop in several; its reservoir is fair and bounded."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from thetastar import registry, star
from thetastar.errors import UserError
from thetastar.measures.energy_distance import Reservoir, energy_distance


def distance(samples: np.ndarray, inputs: np.ndarray, batch: int = 7, cap: int = 1024) -> float:
    measure = energy_distance(cap=cap)
    for start in range(0, max(len(samples), len(inputs)), batch):
        part = slice(start, start + batch)
        measure.update({"samples": torch.tensor(samples[part])}, {"input": torch.tensor(inputs[part])})
    return measure.compute()["energy_distance"]


def test_in_one_dimension_it_is_scipys() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(41, 1)), 1.5 * random.normal(size=(60, 1)) + 0.3
    assert distance(x, y) == pytest.approx(scipy.stats.energy_distance(x[:, 0], y[:, 0]), rel=1e-9)


def test_in_several_it_is_the_double_loop() -> None:
    random = np.random.default_rng(1)
    x, y = random.normal(size=(12, 2, 2)), random.random((9, 2, 2))

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return sum(math.sqrt(((p - q) ** 2).sum()) for p in a for q in b) / (len(a) * len(b))

    expected = math.sqrt(2 * mean(x, y) - mean(x, x) - mean(y, y))
    assert distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_zero_for_equal_sets_and_growing_with_the_shift() -> None:
    x = np.random.default_rng(2).normal(size=(50, 3))
    found = [distance(x + shift, x) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert found[0] == pytest.approx(0.0, abs=1e-6)
    assert found == sorted(found)


def test_the_cap_bounds_memory_and_hardly_moves_the_value() -> None:
    random = np.random.default_rng(3)
    # sorted in opposite directions, so that keeping the first rows would more than double the distance
    x, y = np.sort(random.normal(size=(1500, 1)), 0), -np.sort(random.normal(size=(1500, 1)) - 1, 0)
    assert distance(x[:300], y[:300]) > 2 * distance(x, y, cap=1500)
    measure = energy_distance(cap=300)
    for part in np.split(np.arange(1500), 30):
        measure.update({"samples": torch.tensor(x[part])}, {"input": torch.tensor(y[part])})
        assert max(len(measure.samples.kept), len(measure.inputs.kept)) <= 300
    assert measure.compute()["energy_distance"] == pytest.approx(distance(x, y, cap=1500), rel=0.2)


def test_what_is_kept_does_not_depend_on_the_batches() -> None:
    rows = torch.arange(100.0)[:, None]
    one, many = Reservoir(20, 5), Reservoir(20, 5)
    one.take(rows)
    for part in rows.split(13):
        many.take(part)
    assert torch.equal(one.kept, many.kept)


def test_every_position_is_kept_equally_often() -> None:
    counts = torch.zeros(50)
    for key in range(400):
        reservoir = Reservoir(10, key)
        reservoir.take(torch.arange(50.0)[:, None])
        counts[reservoir.kept[:, 0].long()] += 1
    assert counts.sum() == 4000
    # each count is Binomial(400, 1/5); the sum of squares is χ² but for the fixed total
    assert scipy.stats.chi2.sf(((counts - 80) ** 2 / 64).sum().item(), 49) > 1e-3


def test_a_method_without_samples_is_refused() -> None:
    with pytest.raises(UserError, match="draws no samples"):
        star.fit("blobs", {"name": "mlp", "widths": [4]}, measures=["energy_distance"], steps=2)


def test_lower_is_better() -> None:
    assert registry.load("measures", "energy_distance").higher_is_better is False
