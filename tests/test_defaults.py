"""What a recipe leaves out is chosen by the data, the model and the method; what it says always wins."""

from __future__ import annotations

import pytest

import thetastar as ts
from thetastar.defaults import completed, data_spec, default_model, open_for, open_stream
from thetastar.errors import UserError
from thetastar.outer.learners import default_models
from thetastar.protocols import Field, Schema
from thetastar.recipe import Recipe
from thetastar.terminal.words import Choices, recipe_of


def full(**parts) -> Recipe:
    recipe = Recipe(**parts)
    return completed(recipe, open_for(recipe))


def test_the_kind_of_input_chooses_the_model_and_the_task_the_measures() -> None:
    assert full(data="bars").model["name"] == "cnn"
    assert full(data="blobs").model["name"] == "mlp"
    assert [m["name"] for m in full(data="plane").measures] == ["rmse", "mae", "r2"]
    assert [m["name"] for m in full(data="blobs").measures] == ["accuracy", "nll", "ece"]


def test_images_too_small_to_pool_get_a_model_that_fits_them() -> None:
    for side, model in ((1, "mlp"), (3, "mlp"), (4, "cnn")):
        schema = Schema(Field("image", (3, side, 8)), Field("category", classes=2))
        assert default_model(schema) == model
        assert ("cnn" in default_models(schema)) == (model == "cnn")


def test_a_model_names_its_method_and_a_method_its_model_and_stream() -> None:
    assert full(data="blobs", model="knn").method["name"] == "absorb"
    assert full(data="moons", method="diffusion").model["name"] == "denoiser"
    assert full(data="bars", method="byol").data["name"] == "views"
    assert full(data="bars", method="mean_teacher").data["name"] == "few_labels"
    assert full(data="bars", model="knn").data["valid"] == 0.0


def test_what_a_recipe_says_wins_over_companions() -> None:
    assert full(data="blobs", model="softmax", algorithm="adamw").algorithm["name"] == "adamw"
    assert full(data={"name": "resident", "source": "bars"}, method="byol").data["name"] == "resident"


def test_arguments_of_source_and_stream_find_their_place() -> None:
    spec = data_spec({"name": "blobs", "rows": 30, "batch_size": 5})
    assert spec == {"name": "resident", "source": {"name": "blobs", "rows": 30}, "batch_size": 5}
    with pytest.raises(UserError, match="did you mean 'batch_size'"):
        data_spec({"name": "blobs", "batchsize": 5})


def test_arguments_without_a_name_belong_to_the_default_component() -> None:
    assert full(data="blobs", model={"widths": [8]}).model["widths"] == [8]


def test_a_representation_is_learnt_with_no_other_word() -> None:
    star = ts.fit("bars", model={"name": "mlp", "widths": [16]}, method="byol", steps=3)
    assert star.recipe.data["name"] == "views"


def test_a_measure_named_twice_is_refused() -> None:
    """Values and per-example columns are kept by name, so one of the two would be lost in the other."""
    twice = [{"name": "top_k", "k": 1}, {"name": "top_k", "k": 3}]
    with pytest.raises(UserError, match="top_k 2 times"):
        full(data="iris", measures=twice)
    assert len(full(data="iris", measures=twice[:1]).measures) == 1


def test_a_stream_that_is_named_behind_the_data_is_put_around_them() -> None:
    words = ["bars", "data=resampled", "data.draw=fold", "data.members=3", "data.rows=60"]
    recipe = recipe_of(words, Choices(method="population"))
    assert recipe.data["source"] == {"name": "bars", "rows": 60}
    assert (recipe.data["name"], recipe.data["draw"]) == ("resampled", "fold")
    assert completed(recipe, open_stream(recipe.data)).method["members"] == 3
    assert recipe_of(["bars", "data=blobs"], Choices()).data == "blobs"
    with pytest.raises(UserError, match="cartpole, which makes its own batches"):
        recipe_of(["cartpole", "data=resampled"], Choices())


def test_what_the_data_say_of_a_method_holds_for_that_method_alone() -> None:
    stream = open_stream({"name": "resampled", "source": "bars", "members": 3})
    for method in (None, "population", {"name": "population", "execution": "stacked"}):
        assert completed(Recipe(data="bars", method=method), stream).method["members"] == 3
    assert completed(Recipe(data="bars", method={"name": "population", "members": 2}), stream).method["members"] == 2
    assert "members" not in completed(Recipe(data="bars", method="supervised"), stream).method
