"""Tuning: as many trials for all, on valid alone, never below the defaults there, continued as the same search."""

from __future__ import annotations

import json

import pytest

from thetastar import compare, equation
from thetastar.defaults import completed, open_stream
from thetastar.outer import tuning
from thetastar.recipe import Recipe


def prepared(model, data="moons"):
    stream = open_stream(data)
    measures = None if data == "moons" else ["rmse", "mse"]
    return completed(Recipe(data=data, model=model, budget={"epochs": 2}, measures=measures), stream), stream


def by_training(stream):
    return lambda recipe, number: equation.fit(recipe, stream=stream)


@pytest.mark.parametrize(
    ("model", "searched"),
    [
        ({"name": "mlp", "widths": [8]}, {"model.widths", "model.dropout", "algorithm.lr", "algorithm.weight_decay"}),
        ("knn", {"model.k"}),
        ("random_forest", {"model.min_leaf", "model.max_features"}),
        ("gradient_boosting", {"model.learning_rate", "model.leaves", "model.min_leaf", "model.l2"}),
    ],
)
def test_what_is_searched_follows_the_names_of_arguments(model, searched):
    recipe, stream = prepared(model)
    found = tuning.spaces(recipe, stream)
    assert set(found) == searched


def test_the_best_trial_is_the_best_on_valid_and_the_default_is_the_first(tmp_path):
    recipe, stream = prepared("knn")
    file = tmp_path / "t.json"
    found = tuning.tune(recipe, stream, 5, file, by_training(stream))
    tried = json.loads(file.read_text())
    assert len(tried) == found.trials == 5
    assert tried[0]["values"] == {}
    assert found.value == max(trial["value"] for trial in tried)
    assert found.value >= found.default
    again = equation.fit(found.apply(recipe), stream=stream)
    assert again.values["accuracy"] == found.value


def test_a_continued_search_is_the_same_search(tmp_path):
    recipe, stream = prepared("knn")
    tuning.tune(recipe, stream, 7, tmp_path / "whole.json", by_training(stream))
    whole = json.loads((tmp_path / "whole.json").read_text())
    (tmp_path / "cut.json").write_text(json.dumps(whole[:4]))
    tuning.tune(recipe, stream, 7, tmp_path / "cut.json", by_training(stream))
    assert json.loads((tmp_path / "cut.json").read_text()) == whole


def test_less_is_better_for_errors(tmp_path):
    recipe, stream = prepared("knn", "plane")
    found = tuning.tune(recipe, stream, 5, tmp_path / "t.json", by_training(stream))
    assert found.value == min(trial["value"] for trial in json.loads((tmp_path / "t.json").read_text()))


def test_nothing_to_tune_is_one_trial(tmp_path):
    recipe, stream = prepared("linear", "plane")
    recipe = recipe.replace(method={key: value for key, value in recipe.method.items() if key != "ridge"})
    found = tuning.tune(recipe, stream, 5, tmp_path / "t.json", by_training(stream))
    assert (found.trials, found.searched, found.best) == (1, [], {})


@pytest.mark.shows("P5")
def test_every_learner_gets_as_many_trials_and_the_test_split_stays_shut(tmp_path, monkeypatch):
    from thetastar.outer import compare as module

    opened = []
    test = module.Comparison.test
    monkeypatch.setattr(module.Comparison, "test", lambda self: (opened.append(len(self.tuned)), test(self)))
    verdict = compare("moons", ["softmax", "knn"], seeds=2, trials=3, budget={"epochs": 2}, out=tmp_path / "c")
    assert opened == [2]
    assert [row.tuned["trials"] for row in verdict.rows] == [3, 3]
    for row in verdict.rows:
        recipe = Recipe.from_yaml(row.recipe)
        for path, value in row.tuned["best"].items():
            letter, name = path.split(".")
            assert getattr(recipe, letter)[name] == pytest.approx(value)
    assert "Nothing was tuned." not in verdict.sentences()
