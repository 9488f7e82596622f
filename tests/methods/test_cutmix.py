"""CutMix: what it is for beside plain training, and what goes wrong where targets are not mixed by area."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from thetastar import equation, registry
from thetastar.defaults import completed, open_for
from thetastar.methods.cutmix import cutmix
from thetastar.recipe import Recipe

SEEDS = range(4)


class inputs_alone(cutmix):
    """CutMix without its key part: the target stays that of the image around the rectangle."""

    def loss(self, f: Any, batch: Any, t: Any) -> Any:
        inner, mine = self.inner.loss, F.one_hot(batch["target"], 10).float()
        object.__setattr__(self.inner, "loss", lambda f, mixed, t: inner(f, {**mixed, "target": mine}, t))
        try:
            return super().loss(f, batch, t)
        finally:
            object.__setattr__(self.inner, "loss", inner)


@cache
def accuracies(kind: type[cutmix] | None, seed: int) -> tuple[float, float]:
    """Of 1,437 digits after 360: whole, and with the 16 pixels of the centre at 0."""
    recipe = Recipe(
        data={"name": "digits", "test": 0.8, "valid": 0.0, "batch_size": 64},
        model={"name": "mlp", "widths": [64]},
        method="supervised",
        algorithm={"name": "adamw", "lr": 0.01},
        budget={"epochs": 40},
        engine={"evaluations": 0, "precision": "float32"},
        seed=seed,
    )
    stream = open_for(recipe)
    recipe = completed(recipe, stream)
    start = equation.assemble(recipe, stream.schema)
    if kind is not None:
        method = kind(inner=registry.build("methods", "supervised"), alpha=1.0)
        method.attach(start.f, stream.schema)
        start.method = method
    f = equation.fit(recipe, stream=stream, start=start).program.f.eval()
    batch = stream.examples("test")  # type: ignore[attr-defined]
    whole, right = batch["input"], batch["target"]
    hidden = whole.clone()
    hidden[:, :, 2:6, 2:6] = 0
    with torch.no_grad():
        first, second = ((f(x).argmax(1) == right).float().mean().item() for x in (whole, hidden))
    return first, second


@pytest.mark.shows("O10")
def test_images_with_a_hidden_centre_are_recognised_where_plain_training_fails() -> None:
    """As in the paper, but at no cost for whole images: f has learnt to use every part."""
    plain = np.array([accuracies(None, seed) for seed in SEEDS])
    mixed = np.array([accuracies(cutmix, seed) for seed in SEEDS])
    assert (mixed[:, 1] > plain[:, 1] + 0.1).all(), (mixed, plain)
    assert mixed[:, 0].mean() > plain[:, 0].mean() - 0.01


@pytest.mark.shows("O10")
def test_without_mixed_targets_whole_images_are_recognised_worse_than_by_plain_training() -> None:
    """A rectangle that covers nearly all then bears the name of what it hides, and f reads names off the frame."""
    for seed in SEEDS:
        untold = accuracies(inputs_alone, seed)[0]
        assert untold < accuracies(None, seed)[0] - 0.015
        assert untold < accuracies(cutmix, seed)[0] - 0.015
