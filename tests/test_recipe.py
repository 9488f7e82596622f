"""Recipes as objects and as YAML; overrides; every default printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thetastar import equation
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.recipe import Recipe, parse_yaml


def test_the_complete_recipe_is_a_fixed_point_and_runs_unchanged() -> None:
    recipe = Recipe(data="bars", budget={"steps": 3})
    full = completed(recipe, open_stream(recipe.data))
    again = Recipe.from_yaml(full.to_yaml())
    assert completed(again, open_stream(again.data)).to_yaml() == full.to_yaml()
    one, other = equation.fit(recipe), equation.fit(again)
    assert one.values == other.values


def test_overrides_reach_nested_keys_and_read_scientific_notation() -> None:
    recipe = Recipe(data="bars").override(
        [
            "algorithm.name=sgd",
            "algorithm.lr=1e-3",
            "algorithm.schedule.name=cosine",
            "model.widths=[256,128]",
            "seed=3",
        ]
    )
    assert recipe.algorithm == {"name": "sgd", "lr": 0.001, "schedule": {"name": "cosine"}}
    assert recipe.model == {"widths": [256, 128]}
    assert recipe.seed == 3


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_yaml(value: float) -> None:
    assert Recipe.from_yaml(Recipe(data="bars", algorithm={"lr": value}).to_yaml()).algorithm["lr"] == value


def test_yaml_reads_words_as_words() -> None:
    assert parse_yaml("[no, yes, on, 1e-3, .5, 3, 2024-01-01, true]") == [
        "no",
        "yes",
        "on",
        0.001,
        0.5,
        3,
        "2024-01-01",
        True,
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: mlp", "no data"),
        ("data: bars\nmodle: mlp", "did you mean 'model'"),
        ("- a", "a YAML mapping"),
        ("a: [", "no YAML"),
        ("data: bars\nformat: 99", "update thetastar"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
    ],
)
def test_bad_yaml_is_one_line(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        Recipe.from_yaml(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("assignment", ["lr", "=3", "algoritm.lr=1", "seed.x=1", "model.widths=["])
def test_bad_overrides_are_refused(assignment: str) -> None:
    with pytest.raises(UserError):
        Recipe(data="bars").override([assignment])
