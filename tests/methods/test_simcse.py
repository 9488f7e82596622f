"""SimCSE: its loss by hand, and that dropout is what asks the question."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.errors import UserError
from thetastar.methods.simcse import told_from_others
from thetastar.recipe import Recipe
from thetastar.star import train

pytest.importorskip("tokenizers")
SMALL = {"name": "text_transformer", "width": 16, "depth": 1, "heads": 2}


@pytest.mark.shows("L4")
@pytest.mark.parametrize("temperature", [0.05, 0.5])
@pytest.mark.parametrize("rows", [2, 7])
def test_the_loss_is_that_of_the_paper_by_hand(temperature: float, rows: int) -> None:
    random = np.random.default_rng(rows)
    a, b = random.standard_normal((2, rows, 5))
    losses = []
    for i in range(rows):
        scores = [a[i] @ b[j] / np.linalg.norm(a[i]) / np.linalg.norm(b[j]) / temperature for j in range(rows)]
        losses.append(-scores[i] + np.log(np.sum(np.exp(scores))))
    found = told_from_others(torch.from_numpy(a), torch.from_numpy(b), temperature)
    np.testing.assert_allclose(found.numpy(), losses, rtol=1e-6, atol=1e-12)


def test_without_dropout_it_is_refused() -> None:
    recipe = Recipe(data="phrases", model={**SMALL, "dropout": 0.0}, method="simcse", budget={"steps": 1})
    with pytest.raises(UserError, match="without dropout, the only change"):
        train(recipe)


def test_the_two_passes_see_different_masks_and_the_loss_falls() -> None:
    losses = []
    for steps in (1, 60):
        star = train(Recipe(data="phrases", model=SMALL, method="simcse", budget={"steps": steps}, seed=1))
        assert star.run is None
        program, batch = star.program, star._stream.sample("train", 32)
        program.train()
        torch.manual_seed(0)
        first, second = (program.f.features(batch["input"]) for _ in range(2))
        assert not torch.allclose(first, second)
        losses.append(told_from_others(first, second, 0.05).mean().item())
    assert losses[1] < losses[0]
