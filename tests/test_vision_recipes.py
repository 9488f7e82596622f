"""The lecture tables: sizes that are taught, equal terms, reduced forms of the same learners, an order on MNIST-1D."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thetastar import registry
from thetastar.data.arrays import arrays
from thetastar.defaults import data_spec
from thetastar.outer.compare import compare
from thetastar.outer.learners import data_of
from thetastar.recipe import Recipe
from thetastar.terminal.words import recipe_files

FULL = ("mnist", "mnist1d", "tiny_imagenet", "cifar10_depth", "mnist_pixels")
REDUCED = ("mnist_reduced", "tiny_imagenet_reduced", "cifar10_depth_reduced", "mnist_pixels_reduced")
SHAPES = {"mnist": ((1, 28, 28), 10), "mnist1d": ((40,), 10), "tiny_imagenet": ((3, 64, 64), 200)}
PUBLISHED = {
    "mnist": {"mlp": 0.9619, "cnn": 0.9816},
    "tiny_imagenet": {"mlp": 0.0705, "cnn": 0.2174, "vit": 0.1956, "resnet18": 0.2508},
}


def recipes(name: str) -> dict[str, Recipe]:
    return {file.stem: Recipe.from_yaml(file) for file in recipe_files(Path("vision") / name)}


def built(recipe: Recipe, shape: tuple[int, ...], classes: int) -> Any:
    """The model for data of this shape, without memory for its weights."""
    rows = 2 * classes
    inputs = np.zeros((rows, *shape), np.uint8 if len(shape) == 3 else np.float32)
    schema, _ = arrays(inputs=inputs, targets=np.arange(rows) % classes, title="x").prepare(np.arange(rows))
    spec = registry.complete("models", recipe.model)
    with torch.device("meta"):
        return registry.build("models", spec, schema)


@pytest.mark.shows("V9")
@pytest.mark.parametrize(
    ("table", "learner", "parameters"),
    [
        ("mnist", "mlp", 535_818),
        ("mnist", "cnn", 421_642),
        ("mnist1d", "conv", 2_050),
        ("mnist1d", "mlp", 59_065),
    ],
)
def test_the_nets_have_the_sizes_that_are_taught(table: str, learner: str, parameters: int) -> None:
    f = built(recipes(table)[learner], *SHAPES[table])
    assert sum(p.numel() for p in f.parameters()) == parameters


@pytest.mark.shows("V9")
@pytest.mark.parametrize("table", PUBLISHED)
def test_every_learner_of_a_table_carries_its_published_figure(table: str) -> None:
    found = recipes(table)
    assert {name: recipe.published["value"] for name, recipe in found.items() if recipe.published} == PUBLISHED[table]


@pytest.mark.parametrize("table", [*FULL, *REDUCED])
def test_learners_of_a_table_have_equal_terms(table: str) -> None:
    found = recipes(table)
    assert data_spec(data_of(recipe_files(Path("vision") / table)))["source"]["name"] in registry.entries("data")
    assert len({str(recipe.budget) for recipe in found.values()}) == 1
    assert all(recipe.budget and recipe.model and not recipe.engine for recipe in found.values())


@pytest.mark.parametrize("table", REDUCED)
def test_a_reduced_table_is_of_the_same_data_and_learners(table: str) -> None:
    reduced, full = recipes(table), recipes(table.removesuffix("_reduced"))
    assert set(reduced) <= set(full)
    names = [{registry.as_spec(r.model, "model")["name"] for r in one.values()} for one in (reduced, full)]
    assert names[0] <= names[1]
    sources = [data_spec(next(iter(one.values())).data)["source"]["name"] for one in (reduced, full)]
    assert sources[0] == sources[1]
    if reduced[next(iter(reduced))].data != full[next(iter(full))].data:
        assert not any(recipe.published for recipe in reduced.values()), "figures on all images say nothing of a part"


@pytest.mark.shows("V10")
def test_on_mnist1d_the_convolutional_net_has_less_than_half_the_test_error_of_the_perceptron() -> None:
    """A third of the recipe's epochs; its full length leaves the perceptron where it is and the other further ahead."""
    verdict = compare(None, recipes=recipe_files(Path("vision/mnist1d")), seeds=1, budget={"epochs": 35})
    error = {row.name: 1 - (row.quality or 0.0) for row in verdict.rows}
    assert error["conv"] < 0.5 * error["mlp"]
    pair = verdict.pair("conv", "mlp")
    assert pair is not None
    assert pair.outcome == "first"
    assert [row.parameters for row in verdict.ranked] == [2_050, 59_065]
