"""The exported forest is scikit-learn's forest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from thetastar import star
from thetastar.functional.keys import mix


def reference(found: star.Star, kind: type) -> object:
    """scikit-learn's forest on the same rows with the same seed."""
    columns, index = found.stream.columns, torch.as_tensor(found.stream.rows["train"])
    made = kind(10, max_features=found.program.f.options["max_features"], random_state=mix(0, "forest") % 2**32)
    return made.fit(columns["input"][index].flatten(1).numpy(), columns["target"][index].numpy())


def test_classes_equal_scikit_learn() -> None:
    found = star.fit("digits", model={"name": "random_forest", "trees": 10})
    theirs = reference(found, RandomForestClassifier)
    x = torch.tensor(np.random.default_rng(0).random((300, 1, 8, 8)), dtype=torch.float32)
    expected = theirs.predict_proba(x.flatten(1).numpy())
    assert found.program.f.shares(x).numpy() == pytest.approx(expected, abs=1e-12)
    assert found.predict_proba(x) == pytest.approx((expected * 10 + 0.1) / 11, abs=1e-6)
    assert (found.predict(x).astype(np.int64) == expected.argmax(1)).all()


def test_numbers_equal_scikit_learn() -> None:
    found = star.fit("plane", model={"name": "random_forest", "trees": 10})
    x = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
    assert found.predict(x) == pytest.approx(reference(found, RandomForestRegressor).predict(x), rel=1e-6)


def test_a_class_absent_from_training_keeps_its_place() -> None:
    x = np.arange(12, dtype=np.float32)[:, None]
    labels = np.array([0, 2] * 5 + [1, 1])
    spec = {
        "name": "arrays",
        "inputs": x,
        "targets": labels,
        "given": {"train": np.arange(10), "valid": [], "test": [10, 11]},
    }
    for model in ({"name": "random_forest", "trees": 3}, {"name": "gradient_boosting", "min_leaf": 1}):
        p = star.fit(spec, model=model).predict_proba(x[:10])
        assert p.shape == (10, 3)
        assert (p[:, 1] < 0.1).all()
        assert p[:, [0, 2]].mean() > 0.4


def test_several_labels_are_learnt_at_once() -> None:
    random = np.random.default_rng(0)
    x = random.random((200, 5)).astype(np.float32)
    found = star.fit(
        (x, (x[:, :3] > 0.5).astype(np.int64)), model={"name": "random_forest", "trees": 20}, measures=["nll"]
    )
    assert ((found.predict_proba(x) > 0.5) == (x[:, :3] > 0.5)).mean() > 0.95


def test_the_trees_are_a_function_of_the_seed_and_are_saved(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((50, 1, 8, 8)).astype(np.float32)

    def fitted(seed: int, out: Path | None = None) -> np.ndarray:
        return star.fit("bars", model={"name": "random_forest", "trees": 5}, seed=seed, out=out).predict_proba(x)

    first = fitted(0, tmp_path / "run")
    assert (first == fitted(0)).all()
    assert (first != fitted(1)).any()
    assert (star.load(tmp_path / "run").predict_proba(x) == first).all()
    assert not list(tmp_path.rglob("*.pkl"))
