"""Tasks in a row: what is learnt, what is kept, what is passed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetastar import equation, registry
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError, nearest
from thetastar.evaluation import evaluate
from thetastar.protocols import Clock, Program, Schema, Stream
from thetastar.recipe import Recipe
from thetastar.star import Star, train
from thetastar.watch import Watch

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Journey:
    """What a sequence of tasks left.

    Attributes:
        measure: the name of what the matrix holds.
        matrix: (tasks, tasks); [i, j] is the measure on task j's valid split after learning tasks 0 … i.
        before: (tasks,); the measure before any learning.
        sign: 1 where more is better, −1 where less is.
        star: after the last task.
    """

    measure: str
    matrix: Matrix
    before: Matrix
    sign: int
    star: Star

    @property
    def final(self) -> float:
        """Mean over tasks after the last one."""
        return float(self.matrix[-1].mean())

    @property
    def forgetting(self) -> Matrix:
        """For every task but the last, its best value on the way less its value at the end: (tasks − 1,)."""
        past = self.sign * self.matrix[:, :-1]
        return np.array([past[j:, j].max() - past[-1, j] for j in range(past.shape[1])])

    @property
    def backward_transfer(self) -> float:
        """Mean gain on a task from what was learnt after it; negative where it was forgotten."""
        return float(self.sign * (self.matrix[-1, :-1] - np.diag(self.matrix)[:-1]).mean())

    @property
    def forward_transfer(self) -> float:
        """Mean gain on a task, before it is learnt, from what was learnt before it."""
        return float(self.sign * (np.diag(self.matrix, 1) - self.before[1:]).mean())


def sequence(
    recipe: Recipe,
    tasks: Sequence[Any],
    *,
    measure: str | None = None,
    out: Path | None = None,
    watch: Watch | None = None,
) -> Journey:
    """Learn tasks one after the other with one program, and judge it on all of them after each.

    Args:
        recipe: how each task is learnt, with the whole budget for each; its own data are not used.
        tasks: data specs, names or open streams, at least two, alike in the shapes of inputs and targets.
        measure: the name of what to judge by; the recipe's first by default.
        out: a folder with one run folder a task; where some are finished the sequence goes on after them.
        watch: hears of progress.

    Source: Lopez-Paz and Ranzato 2017, Gradient episodic memory for continual learning (the transfer matrix).
    """
    if len(tasks) < 2:
        raise UserError(f"{len(tasks)} tasks in a row", "at least two", "give more data sets")
    streams = [task if isinstance(task, Stream) else open_stream(task) for task in tasks]
    for stream in streams[1:]:
        _alike(streams[0].schema, stream.schema)
    whole = completed(recipe, streams[0])
    name = _measure(whole, measure)
    program = equation.assemble(whole, streams[0].schema)
    before = _row(program.eval(), streams, whole, name)
    rows: list[list[float]] = []
    for number, stream in enumerate(streams):
        folder = out / f"task-{number + 1}" if out else None
        own = whole.replace(data=getattr(stream, "spec", whole.data))
        star = train(own, folder, stream=stream, start=program.train(), watch=watch)
        program = star.program
        rows.append(_row(program, streams, whole, name))
    sign = -1 if registry.load("measures", name).higher_is_better is False else 1  # type: ignore[attr-defined]
    return Journey(name, np.array(rows), np.array(before), sign, star)


def _row(program: Program, streams: Sequence[Stream], recipe: Recipe, measure: str) -> list[float]:
    specs = [spec for spec in recipe.measures if spec["name"] == measure]
    t, device = Clock(recipe.seed), next(chain(program.parameters(), program.buffers())).device
    for stream in streams:
        stream.to(device)  # what was not trained on yet is still where it was read
    return [evaluate(program, stream, "valid", specs, t)[0][measure] for stream in streams]


def _measure(recipe: Recipe, wanted: str | None) -> str:
    known = {spec["name"]: spec for spec in recipe.measures}
    if wanted is None and known:
        return next(iter(known))
    if wanted is None or wanted not in known:
        raise UserError(
            f"measure '{wanted}' for a sequence", "one of the recipe's measures", nearest(str(wanted), known)
        )
    return wanted


def _alike(first: Schema, other: Schema) -> None:
    def look(schema: Schema) -> Any:
        fields = schema.input if isinstance(schema.input, dict) else {"input": schema.input}
        return {name: (field.kind, field.shape) for name, field in fields.items()}, schema.task, schema.outputs

    if look(first) != look(other):
        raise UserError(
            f"tasks that differ: {look(first)} and {look(other)}", "the same shapes and classes", "choose tasks alike"
        )
