"""Each member stops by its own valid curve and ends with its own best weights, as its run alone does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.methods.test_population import difference, opened
from tests.methods.test_population_varied import lone, recipe_of, trained

from thetastar import equation, resume
from thetastar.defaults import completed, open_for
from thetastar.functional.members import finite_each
from thetastar.recipe import Recipe
from thetastar.snapshot import load_checkpoint, save_checkpoint
from thetastar.watch import Watch

RATES = {"algorithm.lr": [0.3, 0.02, 2.0]}
DATA = {"name": "bars", "rows": 160, "noise": 0.8, "batch_size": 16}
MODEL = {"name": "mlp", "widths": [16], "norm": "batch"}


def stopping(execution: str = "stacked", **engine: Any) -> Recipe:
    recipe = recipe_of(RATES, "sgd", MODEL, data=DATA, execution=execution)
    settings = {"precision": "float32", "evaluations": 40, "monitor": "nll", **engine}
    return recipe.replace(measures=["nll"], budget={"epochs": 14}, engine=settings)


def taken(recipe: Recipe) -> int:
    stream = open_for(recipe)
    return equation.fit(recipe, stream=stream, start=opened(recipe, stream)).facts["steps"]


@pytest.mark.parametrize("execution", ["stacked", "in_turn", "threads"])
def test_each_member_keeps_what_its_run_alone_would_keep(execution: str) -> None:
    recipe = stopping(execution, patience=2)
    stack = trained(recipe)
    assert max(difference(stack, k, lone(recipe, k)) for k in range(3)) < 1e-9
    alone = [
        taken(recipe.replace(method="supervised").override([f"algorithm.lr={rate}"])) for rate in RATES["algorithm.lr"]
    ]
    assert len(set(alone)) > 1, "they stop at different times"
    assert taken(recipe) == max(alone)


def test_the_best_of_each_is_kept_without_patience_too() -> None:
    recipe = stopping(keep="best")
    stack = trained(recipe)
    assert max(difference(stack, k, lone(recipe, k)) for k in range(3)) < 1e-9


def started(recipe: Recipe) -> equation.Training:
    stream = open_for(recipe)
    recipe = completed(recipe, stream)
    return equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())


@pytest.mark.parametrize("execution", ["stacked", "in_turn"])
def test_a_finished_member_does_not_move(execution: str) -> None:
    training = started(stopping(execution))
    training.begin()
    training.program.method.rest([1])
    before = {name: tensor.clone() for name, tensor in training.program.method.members.state_dict().items()}
    training.one_epoch()
    for name, tensor in training.program.method.members.state_dict().items():
        if tensor.ndim and not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor[1], before[name][1]), name
    moved = training.program.method.members.f.head.weight
    assert not torch.equal(moved[0], before["f.head.weight"][0])


def test_a_resume_knows_who_rests_and_what_was_best(tmp_path) -> None:
    recipe = stopping(patience=2)
    whole, part = started(recipe), started(recipe)
    for training in (whole, part):
        training.begin()
    while whole.step < whole.steps and not whole.stopped:
        whole.one_epoch()
        if whole.step <= whole.steps // 2:
            part.one_epoch()
    save_checkpoint(tmp_path, "step-000000000", resume.state(part))
    again = started(recipe)
    resume.restore(again, load_checkpoint(tmp_path / "step-000000000"))
    while again.step < again.steps and not again.stopped:
        again.one_epoch()
    ends = [training.finish().program.state_dict() for training in (whole, again)]
    assert whole.step == again.step
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_who_may_step_is_asked_of_each_member() -> None:
    losses = torch.tensor([1.0, float("inf"), 2.0, 3.0])
    bias = torch.zeros(4, 2)
    bias[3, 1] = float("nan")
    assert finite_each(losses, [torch.zeros(4, 3, 2), bias]).tolist() == [True, False, True, False]
