"""Spaces: read in the notation of users, checked by the types of arguments, searched only where they exist."""

from __future__ import annotations

import math

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from thetastar import registry
from thetastar.defaults import completed
from thetastar.errors import UserError
from thetastar.outer import spaces, tuning
from thetastar.outer.plan import plan
from thetastar.outer.study import Terms
from thetastar.outer.trying import rebatched
from thetastar.recipe import Recipe


def planned(tmp_path, texts=(), fixed=(), **letters):
    return plan(Recipe(**{"data": "moons", "model": "mlp", **letters}), tmp_path / "s", Terms(), texts, fixed)


@pytest.mark.parametrize(
    ("text", "distribution", "start"),
    [
        ("algorithm.lr=1e-4..1e-1", FloatDistribution(1e-4, 1e-1, log=True), 1e-3),
        ("algorithm.lr=0.01..0.02", FloatDistribution(0.01, 0.02, log=True), None),
        ("algorithm.lr=lin:1e-4..1", FloatDistribution(1e-4, 1), 1e-3),
        ("model.dropout=0..0.5", FloatDistribution(0.0, 0.5), 0.0),
        ("model.dropout=0.1..0.5", FloatDistribution(0.1, 0.5), None),
        ("model.dropout=0.001..0.5", FloatDistribution(0.001, 0.5, log=True), None),
        ("data.batch_size=8..16", IntDistribution(8, 16), None),
        ("data.batch_size=log:8..64", IntDistribution(8, 64, log=True), 32),
        ("model.widths=[128]|[256, 256]", CategoricalDistribution(["[128]", "[256, 256]"]), None),
        ("algorithm.schedule=cosine|null", CategoricalDistribution(['"cosine"', "null"]), '"cosine"'),
        ("algorithm.schedule.warmup=0..0.3", FloatDistribution(0.0, 0.3), 0.05),
        ("engine.accumulate=1|2", CategoricalDistribution(["1", "2"]), "1"),
    ],
)
def test_what_users_write_becomes_the_space_that_they_mean(text, distribution, start, tmp_path):
    space = planned(tmp_path, [text]).searched[text.partition("=")[0]]
    assert space.distribution == distribution
    assert space.start == start


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr=1..2", "did you mean 'algorithm.lr'"),
        ("algorithm.lrr=1..2", "did you mean 'lr'"),
        ("algorithm.lr=-1..1", "a number > 0"),
        ("algorithm.lr=0..1e999", "two numbers"),
        ("algorithm.lr=2..1", "is empty"),
        ("algorithm.lr=1..1", "is empty"),
        ("algorithm.lr=0.1", "write algorithm.lr=0.1 without --space"),
        ("algorithm.lr", "KEY=LOW..HIGH"),
        ("model.dropout=0..1", "< 1"),
        ("model.dropout=log:0..0.5", "LOW > 0"),
        ("data.batch_size=1.5..8", "an integer"),
        ("model.activation=relu|gelo", "did you mean 'gelu'"),
        ("model.widths=[8]|[9", "is no YAML"),
        ("model.widths=[8]|[8]", "different values"),
        ("model.widths=1..9", "a list"),
        ("algorithm=sgd|adamww", "did you mean 'adamw'"),
        ("algorithm=sgd|sgd", "several different names"),
        ("algorithm.momentum=0..0.9", "adamw has no argument 'momentum'"),
        ("algorithm.schedule=cosine|cosinus", "did you mean 'cosine'"),
        ("algorithm.clip.norm=0..1", "algorithm.clip is null"),
        ("seed=0..9", "not chosen by its score"),
        ("measures=accuracy|nll", "not chosen by its score"),
        ("data.valid=0.1|0.2", "which rows judge"),
        ("data.source.noise=0..1", "which rows judge"),
        ("data=moons|circles", "the rows must stay the same"),
    ],
)
def test_what_makes_no_space_is_refused_in_one_line(text, said, tmp_path):
    with pytest.raises(UserError) as refused:
        planned(tmp_path, [text])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_fixed_is_not_searched_and_what_is_asked_for_replaces_what_is_usual(tmp_path):
    usual = planned(tmp_path).searched
    fewer = planned(tmp_path, fixed=["algorithm.lr"]).searched
    other = planned(tmp_path, ["algorithm.lr=0.5..0.6"]).searched
    assert set(usual) - set(fewer) == {"algorithm.lr"}
    assert set(other) == set(usual)
    assert other["algorithm.lr"].distribution.low == 0.5
    with pytest.raises(UserError, match="one of the two"):
        planned(tmp_path, ["algorithm.lr=1..2"], ["algorithm.lr"])


@pytest.mark.parametrize("name", sorted(set(registry.entries("algorithms")) - {"newton", "lbfgs"}))
def test_the_usual_spaces_of_every_algorithm_hold_its_step_size(name, tmp_path):
    found = planned(tmp_path, algorithm=name)
    lr = found.searched["algorithm.lr"]
    assert math.isclose(lr.start, found.default.algorithm["lr"])
    assert lr.distribution.low < lr.start < lr.distribution.high


@pytest.mark.parametrize("model", ["mlp", "knn", "random_forest", "gradient_boosting", "decision_tree", "tabular_mlp"])
def test_whatever_is_drawn_is_a_recipe_and_the_default_is_a_draw(model, tmp_path):
    """Forty random draws of the usual spaces pass every check; settings that are the default's change nothing."""
    found = planned(tmp_path, model=model)
    for number in range(1, 41):
        drawn = tuning.propose(found.searched, [], number, True, sampler="random")
        values = tuning.values_of(found.searched, drawn)
        recipe = found.changed(values)
        recipe = completed(recipe, rebatched(found.stream, recipe.data))
        for path, value in values.items():
            letter, name = path.split(".")
            there = getattr(recipe, letter)[name]
            assert (there["name"] if isinstance(there, dict) else there) == value
    same = tuning.values_of(found.searched, tuning.starts(found.searched))
    assert same
    assert completed(found.changed(same), found.stream).to_mapping() == found.default.to_mapping()


def test_settings_of_a_component_are_searched_only_where_it_is_chosen(tmp_path):
    texts = ["algorithm=sgd|adamw|muon", "algorithm.momentum=0.5..0.9", "model.dropout=0.1..0.2"]
    found = planned(tmp_path, texts)
    labels = set(found.searched)
    assert {"algorithm.lr (sgd)", "algorithm.lr (adamw, muon)", "algorithm.momentum (sgd, muon)"} <= labels
    seen = set()
    for number in range(1, 40):
        drawn = tuning.propose(found.searched, [], number, True, sampler="random")
        values = tuning.values_of(found.searched, drawn)
        name = values["algorithm.name"]
        assert ("algorithm.momentum" in values) == (name in ("sgd", "muon"))
        low, high = (0.01, 1.0) if name == "sgd" else (1e-4, 1e-2)
        assert low <= values["algorithm.lr"] <= high
        made = completed(found.changed(values), found.stream) if "data.batch_size" not in values else None
        assert made is None or (made.algorithm["name"] == name and made.algorithm["lr"] == values["algorithm.lr"])
        seen.add(name)
    assert seen == {"sgd", "adamw", "muon"}


def test_a_model_brings_its_own_method_and_algorithm(tmp_path):
    found = planned(tmp_path, ["model=knn|mlp"])
    assert found.changed({"model.name": "knn", "model.k": 4}).method["name"] == "absorb"
    assert found.changed({"model.name": "mlp"}).method["name"] == "supervised"
    assert not any(label.startswith("algorithm") and "knn" in label for label in found.searched)


def test_what_learns_without_looking_at_valid_is_given_rows_to_be_judged_by(tmp_path):
    assert planned(tmp_path, model="knn").stream.size("valid") > 0
    with pytest.raises(UserError, match="without a valid split"):
        planned(tmp_path, data={"name": "moons", "valid": 0.0})


def test_numbers_are_rounded_within_their_range():
    space = spaces.Space("algorithm.lr", FloatDistribution(0.00012345, 1.0, log=True))
    assert space.value(0.034567891) == 0.03457
    assert space.value(0.00012345) == 0.00012345
