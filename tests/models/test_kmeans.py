"""Clusters equal scikit-learn's; their answers are those of the rows in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from thetastar import star
from thetastar.errors import UserError
from thetastar.functional.keys import mix


def test_clusters_and_their_answers_equal_scikit_learn(tmp_path: Path) -> None:
    found = star.fit("digits", model={"name": "kmeans", "clusters": 20}, out=tmp_path / "run")
    columns, index = found.stream.columns, torch.as_tensor(found.stream.rows["train"])
    x, y = columns["input"].flatten(1).double().numpy(), columns["target"].numpy()
    x = x / (255 if columns["input"].dtype == torch.uint8 else 1)
    theirs = KMeans(20, n_init=1, random_state=mix(0, "kmeans") % 2**32).fit(x[index])
    shares = np.zeros((20, 10))
    np.add.at(shares, (theirs.labels_, y[index]), 1)
    cluster = theirs.predict(x)
    assert (star.load(tmp_path / "run").predict(x.reshape(-1, 1, 8, 8)).astype(int) == shares.argmax(1)[cluster]).all()
    expected = (shares + 0.1) / (shares.sum(1, keepdims=True) + 1)
    assert found.predict_proba(x.reshape(-1, 1, 8, 8)) == pytest.approx(expected[cluster], abs=1e-6)


def test_numbers_are_the_means_of_their_clusters() -> None:
    x = np.repeat([0.0, 1.0, 10.0], 20)[:, None].astype(np.float32)
    y = np.repeat([2.0, 4.0, 7.0], 20).astype(np.float32) + np.tile([-1.0, 1.0], 30).astype(np.float32)
    found = star.fit((x, y), model={"name": "kmeans", "clusters": 3, "restarts": 5})
    rows = found.stream.rows["train"]
    for value in (0.0, 1.0, 10.0):
        own = rows[x[rows, 0] == value]
        assert found.predict(np.array([[value]])) == pytest.approx(y[own].mean(), rel=1e-6)


def test_several_labels_are_shares_of_their_clusters() -> None:
    x = np.repeat([0.0, 10.0], 50)[:, None].astype(np.float32)
    y = np.stack([x[:, 0] > 5, x[:, 0] < 5, np.arange(100) % 2 == 0], 1).astype(np.int64)
    p = star.fit((x, y), model={"name": "kmeans", "clusters": 2}).predict_proba(np.array([[0.0], [10.0]]))
    assert p[:, :2] == pytest.approx(np.array([[0, 1], [1, 0]]), abs=0.03)
    assert p[:, 2] == pytest.approx(0.5, abs=0.2)


def test_more_clusters_than_different_rows_are_refused() -> None:
    x = np.repeat([0.0, 10.0], 50)[:, None].astype(np.float32)
    with pytest.raises(UserError, match="2 different training examples"):
        star.fit((x, (x[:, 0] > 5).astype(int)), model={"name": "kmeans", "clusters": 3})
    assert star.fit((x, (x[:, 0] > 5).astype(int)), model="kmeans").test()["accuracy"] == 1.0


def test_classes_that_are_no_clusters_are_not_found() -> None:
    """Known failure: it never sees the target, so a wide entry that says nothing hides a narrow one that says all."""
    random = np.random.default_rng(0)
    y = np.arange(400) % 2
    x = np.stack([y + 0.1 * random.standard_normal(400), np.zeros(400)], 1)[:, :, None, None]
    wide = x + np.stack([np.zeros(400), 50 * random.standard_normal(400)], 1)[:, :, None, None]
    model = {"name": "kmeans", "clusters": 2, "restarts": 3}
    seen, hidden = (
        star.fit({"name": "arrays", "inputs": a.astype(np.float32), "targets": y}, model=model).test()["accuracy"]
        for a in (x, wide)
    )
    assert seen == 1.0
    assert hidden < 0.65
