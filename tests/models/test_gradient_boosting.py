"""The exported boosting is scikit-learn's, and on a table it wins where it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from thetastar import star
from thetastar.errors import UserError
from thetastar.functional.keys import mix


def train(found: star.Star) -> tuple[np.ndarray, np.ndarray]:
    columns, index = found.stream.columns, torch.as_tensor(found.stream.rows["train"])
    return columns["input"][index].flatten(1).numpy(), columns["target"][index].numpy()


SEED = mix(0, "boosting") % 2**32


@pytest.mark.parametrize("classes", [2, 4])
def test_classes_equal_scikit_learn(classes: int) -> None:
    found = star.fit(
        {"name": "blobs", "classes": classes, "spread": 1.5}, model={"name": "gradient_boosting", "rounds": 7}
    )
    theirs = HistGradientBoostingClassifier(max_iter=7, random_state=SEED).fit(*train(found))
    x = np.random.default_rng(0).standard_normal((200, 2)).astype(np.float32) * 2
    assert found.predict_proba(x) == pytest.approx(theirs.predict_proba(x), abs=1e-6)
    assert (found.predict(x).astype(np.int64) == theirs.predict(x)).all()


def test_numbers_equal_scikit_learn() -> None:
    found = star.fit("plane", model={"name": "gradient_boosting", "rounds": 20})
    x = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
    theirs = HistGradientBoostingRegressor(max_iter=20, random_state=SEED).fit(*train(found))
    assert found.predict(x) == pytest.approx(theirs.predict(x), rel=1e-5, abs=1e-6)


def test_several_numbers_get_an_ensemble_each() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((300, 3)).astype(np.float32)
    y = np.stack([x[:, 0], 100 - x[:, 1]], 1)
    found = star.fit((x, y), model="gradient_boosting")
    assert found.predict(x).shape == (300, 2)
    assert np.corrcoef(found.predict(x)[:, 1], y[:, 1])[0, 1] > 0.97


def test_several_labels_are_refused() -> None:
    x = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    with pytest.raises(UserError, match="choose random_forest"):
        star.fit((x, (x > 0.5).astype(np.int64)), model="gradient_boosting", measures=["nll"])


def test_trees_win_on_a_table_of_thresholds_and_lose_on_a_plane() -> None:
    """Steps and interactions of a few columns are what trees are made of; a tilted plane is what they are not."""
    random = np.random.default_rng(3)
    x = random.random((500, 6)).astype(np.float32)
    y = np.where((x[:, 0] > 0.5) == (x[:, 1] > 0.3), 1.0, -1.0) + (x[:, 2] > 0.7)
    tabular = {
        name: star.fit((x, y), model=name).test()["r2"]
        for name in ("linear", "knn", "gradient_boosting", "random_forest")
    }
    assert min(tabular["gradient_boosting"], tabular["random_forest"]) > max(tabular["linear"], tabular["knn"]) + 0.2
    plane = {
        name: star.fit("plane", model=name).test()["r2"] for name in ("linear", "gradient_boosting", "random_forest")
    }
    assert plane["linear"] > max(plane["gradient_boosting"], plane["random_forest"])
