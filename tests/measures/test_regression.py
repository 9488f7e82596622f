"""Regression measures equal scikit-learn's, however the split is cut into batches."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar import registry

NAMES = {
    "mse": reference.mean_squared_error,
    "rmse": reference.root_mean_squared_error,
    "mae": reference.mean_absolute_error,
    "r2": reference.r2_score,
    "explained_variance": reference.explained_variance_score,
    "mape": reference.mean_absolute_percentage_error,
    "median_absolute_error": reference.median_absolute_error,
}


@pytest.mark.shows("F10")
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), rows=st.integers(2, 40), outputs=st.sampled_from([None, 1, 3]), cut=st.integers(1, 40)
)
def test_equals_scikit_learn_in_any_batches(name: str, seed: int, rows: int, outputs: int | None, cut: int) -> None:
    random = np.random.default_rng(seed)
    shape = (rows,) if outputs is None else (rows, outputs)
    target = (1000 + random.standard_normal(shape)).astype(np.float32)
    prediction = (target + random.standard_normal(shape)).astype(np.float32)
    measure = registry.build("measures", name)
    columns = []
    for start in range(0, rows, cut):
        piece = slice(start, start + cut)
        out = {"prediction": torch.tensor(prediction[piece])}
        columns.append(measure.update(out, {"target": torch.tensor(target[piece])}))
    expected = NAMES[name](target.astype(np.float64), prediction.astype(np.float64))
    digits = 1e-7 if name == "median_absolute_error" else 1e-9  # it keeps errors in float32
    assert measure.compute()[name] == pytest.approx(expected, rel=digits, abs=1e-12)
    if columns[0] is not None:
        assert torch.cat(columns).mean().item() == pytest.approx(expected, rel=1e-9)


def test_only_means_have_a_column() -> None:
    out, batch = {"prediction": torch.zeros(3)}, {"target": torch.arange(3.0)}
    has = {name: registry.build("measures", name).update(out, batch) is not None for name in NAMES}
    assert {name for name in has if has[name]} == {"mse", "mae", "mape"}


def test_a_constant_target_gives_r2_of_one_or_zero() -> None:
    for name, offset, expected in (("r2", 0.0, 1.0), ("r2", 1.0, 0.0), ("explained_variance", 1.0, 1.0)):
        measure = registry.build("measures", name)
        measure.update({"prediction": torch.full((4,), 2.0 + offset)}, {"target": torch.full((4,), 2.0)})
        assert measure.compute()[name] == expected == NAMES[name](np.full(4, 2.0), np.full(4, 2.0 + offset))


def test_a_target_of_zero_that_is_missed_costs_as_in_scikit_learn() -> None:
    target, prediction = np.array([0.0, 2.0]), np.array([1.0, 1.0])
    measure = registry.build("measures", "mape")
    measure.update({"prediction": torch.tensor(prediction)}, {"target": torch.tensor(target)})
    assert measure.compute()["mape"] == pytest.approx(reference.mean_absolute_percentage_error(target, prediction))


def test_outliers_move_the_mean_and_not_the_median() -> None:
    out, batch = {"prediction": torch.tensor([1.0, 2.0, 3.0, 1e6])}, {"target": torch.zeros(4)}
    values = {}
    for name in ("mae", "median_absolute_error"):
        measure = registry.build("measures", name)
        measure.update(out, batch)
        values |= measure.compute()
    assert values == {"mae": pytest.approx(250_001.5), "median_absolute_error": 2.5}


@pytest.mark.parametrize("name", ["mse", "mae"])
def test_a_scale_puts_outputs_in_one_unit(name: str) -> None:
    random = np.random.default_rng(0)
    target, prediction = random.standard_normal((2, 30, 2)) * np.array([1.0, 1000.0])
    measure = registry.build("measures", {"name": name, "scale": [1.0, 1000.0]})
    out = {"prediction": torch.tensor(prediction)}
    column = measure.update(out, {"target": torch.tensor(target)})
    expected = NAMES[name](target / [1.0, 1000.0], prediction / [1.0, 1000.0])
    assert measure.compute()[name] == pytest.approx(expected)
    assert column.mean().item() == pytest.approx(expected)
