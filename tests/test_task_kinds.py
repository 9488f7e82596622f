"""Every kind of task has a shipped recipe, and each beats the best answer that is the same for every example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import thetastar
from thetastar import star
from thetastar.functional.masks import VOID
from thetastar.recipe import Recipe

RECIPES = Path(__file__).parents[1] / "recipes"
KINDS = {
    "diabetes": "regression",
    "arm": "regression",
    "breast_cancer": "classification",
    "iris": "classification",
    "digits": "classification",
    "topics": "multi-label classification",
    "shapes": "segmentation",
}


def losses(kind: str, prediction: np.ndarray, target: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Per example: whether it is wrong, the share of labels or known pixels that are, or the error in deviations."""
    if kind == "segmentation":
        known = target != VOID
        return ((prediction != target) & known).sum((1, 2)) / known.sum((1, 2))
    if kind == "classification":
        return (prediction != target).astype(float)
    wrong = prediction != target if kind.startswith("multi") else ((prediction - target) / scale) ** 2
    return wrong.reshape(len(target), -1).mean(1)


@pytest.mark.shows("F11")
@pytest.mark.parametrize("name", KINDS)
def test_a_shipped_recipe_beats_the_trivial_predictor(name: str) -> None:
    """The 95% interval of the mean difference, per test example, lies above 0."""
    recipe = Recipe.from_yaml(RECIPES / f"{name}.yaml")
    found = star.train(recipe.replace(budget={"epochs": 5}) if name == "digits" else recipe)
    assert found.schema.task == KINDS[name]
    columns, rows = found.stream.columns, found.stream.rows
    train, test = (columns["target"][torch.as_tensor(rows[split])].numpy() for split in ("train", "test"))
    out = found.outputs(columns["input"][torch.as_tensor(rows["test"])], frozenset({"prediction"}))
    classes = KINDS[name] in ("classification", "segmentation")
    trivial = np.bincount(train[train != VOID].ravel()).argmax() if classes else train.mean(0)
    trivial = (trivial > 0.5).astype(int) if KINDS[name].startswith("multi") else trivial
    scale = train.std(0)
    ours = losses(KINDS[name], out["prediction"].numpy(), test, scale)
    gain = losses(KINDS[name], np.broadcast_to(trivial, test.shape), test, scale) - ours
    assert gain.mean() - 1.96 * gain.std(ddof=1) / np.sqrt(len(gain)) > 0


def test_the_kinds_have_the_shapes_that_they_say() -> None:
    shapes = {name: thetastar.fit(name, model="knn").schema for name in ("diabetes", "arm", "breast_cancer", "topics")}
    assert shapes["diabetes"].target.shape == ()
    assert shapes["arm"].target.shape == (2,)
    assert shapes["breast_cancer"].target.classes == 2
    assert shapes["topics"].target.kind == "categories"
