"""Tables whose columns are only texts: what they become, and what learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from thetastar import star
from thetastar.defaults import default_model, open_stream
from thetastar.outer.learners import default_models


def spoken(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(0)
    moods = (["good", "fine", "great"], ["bad", "poor", "awful"])
    others = ["film", "plot", "actor", "scene", "music", "ending"]
    texts = [" ".join([*random.choice(others, 4), random.choice(moods[row % 2])]) for row in range(rows)]
    return pd.DataFrame({"text": texts, "mood": ["praise", "blame"] * (rows // 2), "stars": random.random(rows)})


def test_texts_alone_are_words_and_have_their_own_learners() -> None:
    frame = spoken()
    schema = open_stream({"name": "table", "frame": frame.drop(columns="stars"), "target": "mood"}).schema
    assert schema.input.kind == "words"
    assert not schema.input.std, "a seldom word is not blown up by its small deviation"
    assert default_model(schema) == "softmax"
    assert default_models(schema) == ["naive_bayes", "softmax", "knn", "mlp"]
    both = open_stream({"name": "table", "frame": frame, "target": "mood"}).schema
    assert both.input.kind == "vector"
    number = open_stream({"name": "table", "frame": frame.drop(columns="mood"), "target": "stars"}).schema
    assert default_model(number) == "mlp"
    assert default_models(number) == ["knn", "mlp", "gradient_boosting"]


@pytest.mark.parametrize("model", ["naive_bayes", "softmax"])
def test_the_words_that_tell_are_learnt_and_survive_a_folder(model: str, tmp_path: Path) -> None:
    frame = spoken(120).drop(columns="stars")
    found = star.fit({"name": "table", "frame": frame, "target": "mood"}, model=model, out=tmp_path / "run")
    assert found.test()["accuracy"] == 1.0
    new = pd.DataFrame({"text": ["a great scene", "awful music"]})
    assert star.load(tmp_path / "run").predict(new).tolist() == ["praise", "blame"]


@pytest.mark.shows("F12")
def test_the_default_on_film_reviews_is_within_a_point_of_tfidf_and_logistic_regression(shared_data: Path) -> None:
    """On the 2,693 held-out sentences of SST-2, against scikit-learn's own vectoriser with all words."""
    found = star.fit({"name": "table", "path": str(shared_data / "sst2"), "target": "label"})
    assert found.recipe.model["name"] == "softmax"
    rows, y = found.stream.rows, found.stream.columns["target"].numpy()
    texts = found.stream.source.frame["text"].astype(str)
    vectors = TfidfVectorizer()
    theirs = LogisticRegression(max_iter=500).fit(vectors.fit_transform(texts.iloc[rows["train"]]), y[rows["train"]])
    held = np.concatenate([rows["valid"], rows["test"]])
    expected = theirs.score(vectors.transform(texts.iloc[held]), y[held])
    right = [found.evaluate(split)[1]["accuracy"].numpy() for split in ("valid", "test")]
    assert np.concatenate(right).mean() > expected - 0.01
