"""The model for tables: its embedding lets it bend where a plain net of the same size does not."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import thetastar as ts
from thetastar.data.table import table
from thetastar.errors import UserError
from thetastar.models.tabular_mlp import tabular_mlp
from thetastar.protocols import Field, Schema


def sawtooth(seed: int) -> pd.DataFrame:
    """y rises from 0 to 1 six times along x; words that say nothing beside it."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 6, 600)
    return pd.DataFrame({"x": x, "word": rng.choice(["a", "b"], 600), "y": x % 1})


@cache
def fitted(numbers: str, width: int, seed: int) -> tuple[float, int]:
    """R² on valid, and how many parameters it took."""
    model = {"name": "tabular_mlp", "numbers": numbers, "dropout": 0.0, "widths": [width, width], "sigma": 1.0}
    rule = {"name": "adamw", "lr": 0.01}
    star = ts.fit(sawtooth(seed), model, algorithm=rule, target="y", steps=300, seed=seed, engine={"evaluations": 0})
    return star.measures["valid"]["r2"], star.parameters


@pytest.mark.parametrize("numbers", ["piecewise", "periodic"])
@pytest.mark.parametrize("seed", range(3))
def test_embedded_numbers_fit_a_sawtooth_that_plain_ones_of_equal_size_do_not(numbers: str, seed: int) -> None:
    bent, parameters = fitted(numbers, 32, seed)
    plain, more = fitted("plain", 48, seed)
    assert more >= parameters
    assert bent > 0.65
    assert plain < 0.3


def frame(rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=rows), "b": rng.integers(0, 4, rows), "c": rng.choice(["x", "y"], rows)}
    return pd.DataFrame({**columns, "y": rng.normal(size=rows)})


def test_bins_are_fitted_on_training_rows_only() -> None:
    """Values outside training change nothing that was fitted; values inside do."""
    train = np.arange(200)
    clean, outside, inside = frame(), frame(), frame()
    outside.loc[200:, "a"] = 1e6
    inside.loc[0, "a"] = 1e6
    found = [table(frame=f, target="y").prepare(train)[0].input for f in (clean, outside, inside)]
    assert isinstance(found[0], Field)
    assert found[0] == found[1]
    assert found[0] != found[2]
    cuts = found[0].quantiles[0]
    assert (cuts[0], cuts[-1]) == pytest.approx((clean["a"][:200].min(), clean["a"][:200].max()))
    assert found[0].quantiles[1] == (0.0, 1.0, 2.0, 3.0)


def test_bins_travel_with_the_star(tmp_path: Path) -> None:
    star = ts.fit(frame(), {"name": "tabular_mlp", "widths": [8]}, target="y", steps=2)
    assert Schema.from_json(json.loads(json.dumps(star.schema.to_json()))) == star.schema
    star.save(tmp_path / "run")
    np.testing.assert_array_equal(ts.load(tmp_path / "run").predict(frame()), star.predict(frame()))


def test_tables_get_it_by_default_and_arrays_do_not() -> None:
    assert ts.fit(frame(), target="y", steps=1).recipe.model["name"] == "tabular_mlp"
    assert ts.fit("iris", steps=1).recipe.model["name"] == "mlp"


def test_a_column_that_never_varied_is_left_out() -> None:
    schema = Schema(Field("vector", (2,), quantiles=((0.0, 1.0, 2.0), (7.0,))), Field("number"))
    f = tabular_mlp(schema, widths=(4,)).eval()
    torch.testing.assert_close(f(torch.tensor([[1.0, 7.0]])), f(torch.tensor([[1.0, -900.0]])))


def test_images_are_refused() -> None:
    with pytest.raises(UserError, match="columns of numbers"):
        tabular_mlp(Schema(Field("image", (1, 8, 8), mean=(0.5,), std=(0.2,)), Field("number")))
