"""Naive Bayes equals scikit-learn's two, and is too sure where entries repeat one another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import GaussianNB, MultinomialNB

from thetastar import star
from thetastar.errors import UserError


def split(found: star.Star, name: str) -> tuple[np.ndarray, np.ndarray]:
    columns, index = found.stream.columns, torch.as_tensor(found.stream.rows[name])
    return columns["input"][index].numpy().astype(np.float64), columns["target"][index].numpy()


def counts(rows: int = 300, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = np.arange(rows) % classes
    return random.poisson(random.gamma(0.3, 1.0, (classes, 12))[y]).astype(np.float32), y


@pytest.mark.parametrize("alpha", [1.0, 0.1])
def test_counts_equal_multinomial_naive_bayes(alpha: float, tmp_path: Path) -> None:
    found = star.fit(counts(), model={"name": "naive_bayes", "alpha": alpha}, out=tmp_path / "run")
    theirs = MultinomialNB(alpha=alpha).fit(*split(found, "train"))
    x = split(found, "test")[0]
    assert found.predict_proba(x) == pytest.approx(theirs.predict_proba(x), abs=1e-6)
    assert star.load(tmp_path / "run").predict_proba(x) == pytest.approx(theirs.predict_proba(x), abs=1e-6)


def test_measurements_equal_gaussian_naive_bayes(tmp_path: Path) -> None:
    found = star.fit("wine", model="naive_bayes", out=tmp_path / "run")
    theirs = GaussianNB().fit(*split(found, "train"))
    x = split(found, "test")[0]
    assert found.predict_proba(x) == pytest.approx(theirs.predict_proba(x), abs=1e-6)
    assert star.load(tmp_path / "run").predict_proba(x) == pytest.approx(theirs.predict_proba(x), abs=1e-6)
    assert found.test()["accuracy"] > 0.9


@pytest.mark.parametrize("likelihood", ["multinomial", "gaussian"])
def test_each_label_is_a_naive_bayes_of_its_own(likelihood: str) -> None:
    x, y = counts()
    labels = np.stack([y == 0, y > 0, x[:, 0] > 1], 1).astype(np.int64)
    found = star.fit((x, labels), model={"name": "naive_bayes", "likelihood": likelihood})
    x, there = split(found, "train")
    for label in range(3):
        theirs = (MultinomialNB() if likelihood == "multinomial" else GaussianNB()).fit(x, there[:, label])
        assert found.predict_proba(x)[:, label] == pytest.approx(theirs.predict_proba(x)[:, 1], abs=1e-6)


def test_a_class_absent_from_training_keeps_a_small_share() -> None:
    x, y = counts()
    given = {"train": np.flatnonzero(y < 2), "valid": [], "test": np.flatnonzero(y == 2)}
    for likelihood in ("multinomial", "gaussian"):
        model = {"name": "naive_bayes", "likelihood": likelihood}
        p = star.fit({"name": "arrays", "inputs": x, "targets": y, "given": given}, model=model).predict_proba(x[:50])
        assert np.isfinite(p).all()
        assert (p > 0).all() or likelihood == "gaussian"
        assert p[:, 2].mean() < 0.2


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(UserError, match="choose linear"):
        star.fit("plane", model="naive_bayes")
    with pytest.raises(UserError, match="likelihood=gaussian"):
        star.fit("blobs", model={"name": "naive_bayes", "likelihood": "multinomial"})


def test_copies_of_an_entry_make_it_too_sure() -> None:
    """Known failure: entries that repeat one another are counted as so much more evidence; classes stay as they are."""
    random = np.random.default_rng(0)
    y = np.arange(600) % 2
    x = (y[:, None] + 1.5 * random.standard_normal((600, 1))).astype(np.float32)
    once = star.fit((x, y), model="naive_bayes")
    often = star.fit((np.repeat(x, 12, 1), y), model="naive_bayes")
    a, b = once.test(), often.test()
    assert b["accuracy"] == pytest.approx(a["accuracy"], abs=0.02)
    assert b["ece"] > a["ece"] + 0.1
    assert b["nll"] > 2 * a["nll"]
