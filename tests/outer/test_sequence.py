"""Tasks in a row: the matrix is what separate evaluations give, its summaries are as defined, folders resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thetastar import equation
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.evaluation import evaluate
from thetastar.outer.sequence import Journey, sequence
from thetastar.protocols import Clock
from thetastar.recipe import Recipe

TASKS = [{"name": "permuted", "source": "bars", "task": task} for task in range(3)]


def recipe(**changes: Any) -> Recipe:
    return Recipe(
        data="bars",
        model={"name": "mlp", "widths": [16]},
        method={"name": "ewc", "strength": 10.0},
        algorithm={"name": "adamw", "lr": 0.01},
        measures=["accuracy", "nll"],
        budget={"steps": 25},
        engine={"evaluations": 0, "precision": "float32"},
    ).replace(**changes)


def test_summaries_of_a_matrix_by_hand() -> None:
    matrix = np.array([[0.9, 0.3, 0.2], [0.95, 0.8, 0.4], [0.6, 0.7, 0.85]])
    before = np.array([0.1, 0.2, 0.1])
    journey = Journey("accuracy", matrix, before, 1, None)
    np.testing.assert_allclose(journey.forgetting, [0.95 - 0.6, 0.8 - 0.7])
    assert journey.backward_transfer == pytest.approx(((0.6 - 0.9) + (0.7 - 0.8)) / 2)
    assert journey.forward_transfer == pytest.approx(((0.3 - 0.2) + (0.4 - 0.1)) / 2)
    assert journey.final == pytest.approx((0.6 + 0.7 + 0.85) / 3)
    # where less is better, every sign turns round
    error = Journey("error", 1 - matrix, 1 - before, -1, None)
    np.testing.assert_allclose(error.forgetting, journey.forgetting)
    assert error.backward_transfer == pytest.approx(journey.backward_transfer)
    assert error.forward_transfer == pytest.approx(journey.forward_transfer)


def test_the_matrix_equals_fits_and_evaluations_one_by_one() -> None:
    journey = sequence(recipe(), TASKS)
    streams, program = [open_stream(task) for task in TASKS], None
    for row, stream in enumerate(streams):
        program = equation.fit(recipe(), stream=stream, start=program).program
        for column, other in enumerate(streams):
            values, _ = evaluate(program, other, "valid", [{"name": "accuracy"}], Clock(0))
            assert journey.matrix[row, column] == values["accuracy"]
    weights = journey.star.program.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in program.state_dict().items())


def test_a_sequence_goes_on_after_its_finished_tasks(tmp_path: Path) -> None:
    whole = sequence(recipe(), TASKS, measure="nll", out=tmp_path / "whole")
    sequence(recipe(), TASKS[:2], measure="nll", out=tmp_path / "parts")
    parts = sequence(recipe(), TASKS, measure="nll", out=tmp_path / "parts")
    np.testing.assert_array_equal(whole.matrix, parts.matrix)
    assert whole.sign == -1
    one, two = whole.star.program.state_dict(), parts.star.program.state_dict()
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_what_makes_no_sequence_is_refused() -> None:
    with pytest.raises(UserError, match="at least two"):
        sequence(recipe(), TASKS[:1])
    with pytest.raises(UserError, match="choose tasks alike"):
        sequence(recipe(), ["bars", "digits"])
    with pytest.raises(UserError, match="accuracy"):
        sequence(recipe(), TASKS, measure="acuracy")


def test_every_task_is_judged_where_the_program_is(monkeypatch) -> None:
    """On a GPU, tasks that come later are still in main memory when the first one is done."""
    streams = [open_stream(task) for task in TASKS]
    where: dict[int, Any] = {}
    kind = type(streams[0])
    move, draw = kind.to, kind.batches

    def to(self, device) -> None:
        where[id(self)] = device
        move(self, device)

    def batches(self, *given, **more):
        assert id(self) in where, "a batch was asked for before the stream was moved"
        return draw(self, *given, **more)

    monkeypatch.setattr(kind, "to", to)
    monkeypatch.setattr(kind, "batches", batches)
    sequence(recipe(budget={"steps": 1}), streams)
    assert set(where) == set(map(id, streams))
