"""SimCLR: its loss by loops, what it learns, and the collapse that the negatives prevent."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.probing import assembled
from tests.methods.representations import (
    PLAIN,
    by_hand,
    encoded,
    first_batch,
    gains,
    projected_spread,
    pure_and_reached,
    recipe,
    unit,
)

from thetastar import equation
from thetastar.errors import UserError
from thetastar.functional.contrast import cosine_distance
from thetastar.methods import simclr as module
from thetastar.protocols import Clock
from thetastar.recipe import Recipe
from thetastar.run import Run

METHOD = {"name": "simclr", "hidden": 128, "outputs": 32}


@pytest.mark.shows("L3")
@pytest.mark.parametrize(("temperature", "hard"), [(0.5, 0.0), (0.1, 0.0), (0.5, 1.0)])
def test_the_loss_is_the_double_loop_over_all_views(temperature: float, hard: float) -> None:
    """The net and the projector by hand, both views in one batch of batch norm; then view by view."""
    _, stream, program = assembled(recipe({**METHOD, "temperature": temperature, "hard_negatives": hard}))
    batch = first_batch(stream)
    got, aux = program.train()("loss", batch, Clock(0))
    views = torch.cat([batch["input"], batch["view"]])
    z = unit(by_hand(program.method.projector, encoded(program.f, views)))
    n, total = len(z) // 2, 0.0
    for i in range(2 * n):
        logits = [float(z[i] @ z[k]) / temperature for k in range(2 * n) if k not in (i, (i + n) % (2 * n))]
        mean = sum(math.exp(hard * a) for a in logits) / len(logits)
        negative = sum(math.exp(hard * a) / mean * math.exp(a) for a in logits)
        positive = math.exp(float(z[i] @ z[(i + n) % (2 * n)]) / temperature)
        total -= math.log(positive / (positive + negative))
    np.testing.assert_allclose(got.item(), total / (2 * n), rtol=1e-5)
    centre = z[:n].mean(0)
    np.testing.assert_allclose(aux.log["spread"].item(), math.sqrt(1 - centre @ centre), rtol=1e-4)


def test_the_loss_is_pure_and_reaches_what_it_declares() -> None:
    pure_and_reached(recipe(METHOD))


@pytest.mark.shows("L3")
def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    found = gains(METHOD, 150)
    assert min(found) > 0
    assert np.mean(found) > 0.02


@pytest.mark.shows("L3")
@pytest.mark.parametrize("seed", [0, 1])
def test_it_collapses_without_negatives_and_not_with_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = recipe(METHOD, "digits", 100, seed, PLAIN)
    assert projected_spread(given) > 0.9

    def without_negatives(first: Any, second: Any, temperature: float, hard: float) -> Any:
        return cosine_distance(first, second)

    monkeypatch.setattr(module, "nt_xent", without_negatives)
    assert projected_spread(given) < 0.1


def test_an_example_without_others_has_no_negatives() -> None:
    _, stream, program = assembled(recipe(METHOD))
    batch = {name: value[:1] for name, value in first_batch(stream).items()}
    with pytest.raises(UserError, match="simclr on batches of 1: the other examples are the negatives; expected at le"):
        program("loss", batch, Clock(0))


def test_the_probe_and_the_gauge_are_traced_while_it_trains(tmp_path: Path) -> None:
    """With nothing named but data and method."""
    method = {"name": "simclr", "hidden": 32, "outputs": 16}
    run = Run.create(tmp_path / "run")
    outcome = equation.fit(Recipe(data="bars", model="mlp", method=method, budget={"epochs": 4}), run=run)
    rows = [row for row in run.trace() if "valid.knn_accuracy" in row]
    assert len(rows) >= 3
    for row in rows:
        assert {"valid.knn_accuracy", "valid.effective_rank", "valid.spread", "spread"} <= set(row)
    assert outcome.values["knn_accuracy"] > 0.5


def test_members_of_a_population_with_their_own_weight_of_hard_negatives_are_those_trained_alone() -> None:
    inner = {"name": "simclr", "hidden": 16, "outputs": 8}
    given = recipe(inner, steps=4, model={"name": "mlp", "widths": [8]})
    given = given.replace(algorithm={"name": "sgd", "lr": 0.05}, measures=["spread"])
    many = {"name": "population", "inner": inner, "seeds": [0, 0], "execution": "stacked"}
    many |= {"vary": {"method.hard_negatives": [1.0, 0.0]}}
    members: Any = equation.fit(given.replace(method=many)).program.method
    together = members.members.state_dict()
    for k, hard in enumerate((1.0, 0.0)):
        alone = equation.fit(given.replace(method={**inner, "hard_negatives": hard})).program.state_dict()
        for name, value in alone.items():
            if value.is_floating_point():
                torch.testing.assert_close(together[name][k], value, rtol=1e-4, atol=1e-6)
