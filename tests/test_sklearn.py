"""The estimators keep scikit-learn's contract, and answer as the star inside them does."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import thetastar as ts
from thetastar.sklearn import Learner, Regressor

SHORT = {"model": {"name": "mlp", "widths": [16]}, "algorithm": {"name": "adamw", "lr": 0.03}, "steps": 40}


@parametrize_with_checks([Learner(**SHORT), Regressor(**SHORT)])
def test_estimator_keeps_scikit_learns_contract(estimator, check):
    check(estimator)


def test_learner_answers_as_its_star_in_the_users_words() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-2, 1, (80, 2)), rng.normal(2, 1, (80, 2))])
    y = np.repeat(["low", "high"], 80)
    learner = ts.sklearn.Learner(**SHORT).fit(x, y)
    codes = learner.star_.predict(x.astype(np.float32)).astype(int)
    assert (learner.predict(x) == learner.classes_[codes]).all()
    np.testing.assert_array_equal(learner.predict_proba(x), learner.star_.predict_proba(x.astype(np.float32)))
    assert learner.score(x, y) > 0.95


def test_estimators_work_in_pipelines_and_cross_validation() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3)) * [1.0, 100.0, 0.01]
    y = x @ [3.0, 0.02, 50.0] + 7.0
    pipeline = make_pipeline(StandardScaler(), Regressor(model="linear"))
    assert cross_val_score(pipeline, x, y, cv=3).min() > 0.999


def test_equal_seeds_learn_the_same_and_others_do_not() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    first, second, other = (Regressor(**SHORT, random_state=seed).fit(x, y).predict(x) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)
