"""The speed of pre-training: the bare loop takes the steps that ours takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from benchmarks import pretraining, tasks

ROWS = 48


@pytest.mark.parametrize("augment", [(), ({"name": "flip", "p": 1.0}, {"name": "greyscale", "p": 1.0})])
def test_the_bare_loop_takes_the_steps_of_simclr(augment: tuple[object, ...]) -> None:
    """One batch a pass and changes without chance: net and projector have the same weights after three steps."""
    model = {"name": "cnn", "channels": [4, 4], "hidden": 8}
    task = replace(pretraining.TASKS["cifar10_cnn"], rows=ROWS, model=model)
    training = pretraining.prepared(task, ROWS, "float32", "cpu", augment)
    f, projector = pretraining.beside(training)
    start = {name: p.detach().clone() for name, p in f.named_parameters()}
    view = pretraining.changed(augment)
    pretraining.bare(f, projector, tasks.columns(task)[0], ROWS, view, "float32")(3)
    tasks.ours(training)(3)
    assert max(float((p.detach() - start[name]).abs().max()) for name, p in f.named_parameters()) > 1e-3
    program = training.program
    for mine, other in ((program.f, f), (program.method.projector, projector)):
        found = {name: p.detach() for name, p in mine.named_parameters()}
        expected = {name: p.detach() for name, p in other.named_parameters()}
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
