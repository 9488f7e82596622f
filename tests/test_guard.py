"""A refused step leaves nothing behind, whether the host waits to hear of it or not."""

from __future__ import annotations

import math

import pytest
import torch

from thetastar import equation
from thetastar.defaults import completed, open_stream
from thetastar.guard import Guard
from thetastar.recipe import Recipe
from thetastar.watch import Watch

METHODS = {
    "supervised": {"name": "bars"},
    "mean_teacher": {"name": "few_labels", "source": "bars", "labels": 16},
    "byol": {"name": "views", "source": "bars"},
    "moco": {"name": "views", "source": "bars"},
}


@pytest.mark.parametrize("on_host", [True, False], ids=["read by the host", "left on the device"])
@pytest.mark.parametrize("method", METHODS)
def test_a_refused_step_changes_neither_weights_nor_teachers_nor_queues(method: str, on_host: bool) -> None:
    asked = Recipe(
        data={**METHODS[method], "batch_size": 16},
        model={"name": "mlp", "widths": [8], "norm": "batch"},
        method=method,
        measures=[],
        budget={"steps": 4},
        engine={"precision": "float32", "device": "cpu"},
    )
    stream = open_stream(asked.data)
    recipe = completed(asked, stream)
    training = equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())
    training.begin()
    training.guard = Guard(training.program, on_host)
    batches = stream.batches("train", training.clock())
    training.one_step([next(batches)])
    before = {name: value.clone() for name, value in training.program.state_dict().items()}
    bad = next(batches)
    bad["input"] = torch.full_like(bad["input"], math.nan)
    training.one_step([bad])
    after = training.program.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    training.one_step([next(batches)])
    after = training.program.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before), "and the run goes on"
