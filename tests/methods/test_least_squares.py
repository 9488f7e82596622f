"""The closed form is scikit-learn's, its intervals cover, and stochastic descent finds the same answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge

from thetastar import star
from thetastar.errors import UserError


def drawn(rows: int = 300, outputs: int | None = None, offset: float = 0.0) -> dict[str, Any]:
    """Correlated columns of unlike size, all rows for training."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, 5)) @ random.standard_normal((5, 5)) * [1, 10, 0.1, 1, 100] + offset
    w = random.standard_normal((5, outputs or 1))
    y = x @ w + 3 + random.standard_normal((rows, outputs or 1))
    given = {"train": np.arange(rows), "valid": [], "test": []}
    targets = y if outputs else y[:, 0]
    return {"name": "arrays", "inputs": x.astype(np.float32), "targets": targets.astype(np.float32), "given": given}


def standardised(found: star.Star) -> tuple[np.ndarray, np.ndarray]:
    """Features as the model sees them, and targets, in float64."""
    columns, index = found.stream.columns, torch.as_tensor(found.stream.rows["train"])
    z = found.program.f.features(columns["input"][index])
    return z.double().numpy(), columns["target"][index].double().numpy()


@pytest.mark.shows("F1")
@pytest.mark.parametrize("outputs", [None, 1, 3])
@pytest.mark.parametrize("ridge", [0.0, 0.5, 100.0])
def test_equals_scikit_learn(outputs: int | None, ridge: float) -> None:
    found = star.fit(drawn(outputs=outputs), model="linear", method={"name": "least_squares", "ridge": ridge})
    z, y = standardised(found)
    theirs = (Ridge(ridge) if ridge else LinearRegression()).fit(z, y)
    linear, units = found.program.f.head
    weight = linear.weight.detach().double().numpy() * units.std.double().numpy()[:, None]
    assert weight == pytest.approx(theirs.coef_.reshape(weight.shape), rel=1e-6, abs=1e-6 * np.abs(weight).max())
    ours = found.predict(found.stream.columns["input"].numpy())
    assert np.abs(ours - theirs.predict(z).reshape(y.shape)).max() <= 1e-6 * np.abs(y).max()


def test_collinear_columns_share_their_effect() -> None:
    x = np.random.default_rng(0).standard_normal((50, 1)).astype(np.float32)
    found = star.fit((np.hstack([x, x, 2 * x]), 6 * x[:, 0] + 1), model="linear")
    weight = found.program.f.head[0].weight.detach()
    assert weight.numpy() == pytest.approx(np.full((1, 3), weight.mean().item()), rel=1e-5)
    assert found.test()["rmse"] < 1e-4


def test_augmented_and_dropped_batches_do_not_move_the_answer() -> None:
    changed = {"batch_size": 256, "drop_last": True, "augment": [{"name": "noise", "std": 5.0}]}
    plain, other = (star.fit({**drawn(), **more}, model="linear").program.f.head[0].weight for more in ({}, changed))
    assert other.detach().numpy() == pytest.approx(plain.detach().numpy(), rel=1e-5)


def test_any_batches_give_the_same_weights() -> None:
    weights = [
        star.fit({**drawn(), "batch_size": size}, model="linear").program.f.head[0].weight.detach() for size in (7, 300)
    ]
    assert torch.allclose(weights[0], weights[1], rtol=1e-6, atol=1e-7)


def test_the_last_layer_of_any_net_can_be_solved() -> None:
    """Random features: an untrained hidden layer and a closed-form head fit what no plane can."""
    x = np.linspace(-3, 3, 400, dtype=np.float32)[:, None]
    y = np.sin(2 * x[:, 0])
    model = {"name": "mlp", "widths": [200], "activation": "tanh"}
    assert star.fit((x, y), model=model, method="least_squares").test()["r2"] > 0.99
    assert star.fit((x, y), model="linear").test()["r2"] < 0.5


def interval(found: star.Star, x: np.ndarray) -> np.ndarray:
    return found.outputs(x, frozenset({"interval"}))["interval"].numpy()


@pytest.mark.parametrize("outputs", [None, 2])
def test_intervals_by_hand(outputs: int | None) -> None:
    """ŷ ± t s √(1 + xᵀ(XᵀX)⁻¹x) with the bias as a column of ones: another way to write it, solved in NumPy."""
    from scipy.stats import t as student

    found = star.fit(drawn(40, outputs), model="linear")
    z, y = standardised(found)
    X = np.hstack([z, np.ones((40, 1))])
    beta, *_ = np.linalg.lstsq(X, y.reshape(40, -1), rcond=None)
    s = np.sqrt(np.square(y.reshape(40, -1) - X @ beta).sum(0) / (40 - 6))
    leverage = np.einsum("ni,ij,nj->n", X, np.linalg.inv(X.T @ X), X)
    width = (student.ppf(0.975, 34) * np.sqrt(1 + leverage)[:, None] * s).reshape(y.shape)
    ours = interval(found, found.stream.columns["input"].numpy())
    assert (ours[:, 1] - ours[:, 0]) / 2 == pytest.approx(width, rel=1e-4)


def test_intervals_cover_new_observations() -> None:
    """Of new observations about 90% lie in the interval of level 0.9, also where only 33 examples were learnt from."""
    random = np.random.default_rng(0)
    inside = []
    for _ in range(20):
        x, new = (
            random.standard_normal((50, 3)).astype(np.float32),
            random.standard_normal((1000, 3)).astype(np.float32),
        )
        y, answer = x.sum(1) + random.standard_normal(50), new.sum(1) + random.standard_normal(1000)
        found = star.fit((x, y.astype(np.float32)), model="linear", method={"name": "least_squares", "level": 0.9})
        low, high = interval(found, new).T
        inside.append(((low < answer) & (answer < high)).mean())
    assert np.mean(inside) == pytest.approx(0.9, abs=0.03)


def test_what_it_cannot_solve_is_refused() -> None:
    with pytest.raises(UserError, match="choose method supervised"):
        star.fit("blobs", model="mlp", method="least_squares")
    with pytest.raises(UserError, match="choose model linear"):
        star.fit("plane", model="knn", method="least_squares")


def test_intervals_survive_saving(tmp_path: Path) -> None:
    found = star.fit("plane", model="linear", out=tmp_path / "run")
    x = np.ones((3, 4), np.float32)
    assert (interval(star.load(tmp_path / "run"), x) == interval(found, x)).all()


@pytest.mark.shows("F1")
def test_stochastic_descent_reaches_the_closed_form_on_housing(shared_data: Path) -> None:
    spec = {"name": "table", "path": str(shared_data / "tables" / "housing.csv"), "target": "median_house_value"}
    exact = star.fit(spec, model="linear")
    z, y = standardised(exact)
    theirs = LinearRegression().fit(z, y)
    ours = exact.evaluate("train")[0]["rmse"]
    assert ours == pytest.approx(float(np.sqrt(np.square(theirs.predict(z) - y).mean())), rel=1e-6)
    descended = star.fit(
        spec,
        model="linear",
        method="supervised",
        algorithm={"name": "sgd", "lr": 0.005},
        epochs=8,
        engine={"evaluations": 0},
    )
    assert descended.evaluate("train")[0]["rmse"] == pytest.approx(ours, rel=0.01)
    assert descended.measures["valid"]["rmse"] == pytest.approx(exact.measures["valid"]["rmse"], rel=0.01)
