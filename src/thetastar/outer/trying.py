"""One trial of a search: train, judge on valid, give up early; here or in a process of its own.

    python -m thetastar.outer.trying

reads JSON lines, first the terms and then a task a line, and answers each task with a line of what came out.
"""

from __future__ import annotations

import copy
import errno
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from thetastar import equation, registry
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.execution import Evaluation
from thetastar.functional.jsonable import strict
from thetastar.layers.frozen import scratch
from thetastar.outcome import Outcome
from thetastar.outer.pruning import RULES, Curve, Judge, Pruned, not_finite
from thetastar.protocols import Batch, Clock, Objective, Program, Stream
from thetastar.recipe import Recipe
from thetastar.watch import Watch

LOST = "its loss was not finite in the end"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@dataclass(frozen=True)
class Task:
    """A training that is asked for: its number, a recipe, whether it may be ended early."""

    number: int
    recipe: Recipe
    prune: bool = True


@dataclass
class Record:
    """What came out of a trial.

    Attributes:
        drawn: by label, as the sampler knows it; `values`: by path, as the recipe has it.
        value: of the measure on valid, for finished ones; `reason`: why a trial is pruned or failed.
        curve: [[share of the budget, value on valid], …].
    """

    number: int
    drawn: dict[str, Any] = field(default_factory=dict[str, Any])
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    state: Literal["finished", "pruned", "failed"] = "finished"
    value: float | None = None
    reason: str = ""
    curve: list[list[float]] = field(default_factory=list[list[float]])
    seconds: float = 0.0

    def line(self) -> str:
        return json.dumps(strict(asdict(self)), allow_nan=False) + "\n"


def records(file: Path) -> list[Record]:
    """The trials in a file, by number; the line that a killed process was writing is left out."""
    found: dict[int, Record] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            record = Record(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found.setdefault(record.number, record)
    return [found[number] for number in sorted(found)]


class Trainer:
    """Trains tasks on one data set.

    Args:
        stream: the data; other batch sizes share its rows.
        measure: that judges; `higher` where more is better.
        pruner: a name in `pruning.RULES`.
        file: of the trials so far, which a trial is held against.
    """

    def __init__(self, stream: Stream, measure: str, higher: bool, pruner: str, file: Path) -> None:
        self.stream, self.measure, self.higher, self.file = stream, measure, higher, file
        self.rule = RULES[pruner]
        self.streams = {key_of(stream.spec): stream}  # type: ignore[attr-defined]

    def __call__(self, task: Task, watch: Watch) -> Record:
        """A failure of whatever kind is a result: the search goes on."""
        record, began = Record(task.number), time.perf_counter()
        others = [one.curve for one in records(self.file) if one.curve and one.state != "failed"] if task.prune else []
        judge = Judge(watch, self.measure, lambda curve: self.judged(curve, others))
        try:
            outcome = equation.fit(task.recipe, stream=self.of(task.recipe.data), watch=judge)
            record.value = outcome.values[self.measure]
            if not math.isfinite(record.value):
                raise Pruned(not_finite(self.measure))
            if not task.prune and any(astray(outcome)):
                raise Pruned(LOST)
        except Pruned as reason:
            record.state = "pruned" if task.prune else "failed"
            record.reason, record.value = str(reason), None
        except Exception as error:
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise
            record.state = "failed"
            record.reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            keep_trace(self.file.parent, task.number)
        record.curve, record.seconds = judge.curve, round(time.perf_counter() - began, 3)
        return record

    def judged(self, curve: Curve, others: Sequence[Curve]) -> str:
        return self.rule(curve, others, self.higher) if others else ""

    def of(self, spec: Mapping[str, Any]) -> Stream:
        """The stream of a complete data spec; environments begin anew with every trial."""
        if self.stream.state_dict():
            return open_stream(spec)
        key = key_of(spec)
        if key not in self.streams:
            self.streams[key] = rebatched(self.stream, spec)
        return self.streams[key]


def astray(outcome: Outcome) -> list[bool]:
    """Of each learner of a program, whether its loss is finite on no training batch: it learns nothing any more."""
    program, stream = outcome.program, outcome.stream
    if not (outcome.facts["steps"] and isinstance(program.method, Objective)) or stream.state_dict():
        return [False]
    lost = torch.ones((), dtype=torch.bool)
    for batch in stream.batches("train", outcome.clock):
        finite = losses(program, batch, outcome.clock).isfinite().cpu()
        lost = lost & ~finite
        if not lost.any():
            break
    program.eval()
    return lost.tolist()


def losses(program: Program, batch: Batch, t: Clock) -> Tensor:
    """Of each learner in a program, on one batch in training; (learners,)."""
    device = next(program.parameters()).device.type
    program.train()
    with scratch(program), Evaluation(t.key("loss", t.part), torch.autocast(device, torch.bfloat16, False)):
        value, aux = program("loss", batch, t)
    return value.detach()[None] if aux.each is None else aux.each


def key_of(spec: Any) -> str:
    return json.dumps(spec, sort_keys=True, default=id)


def rebatched(stream: Stream, spec: Mapping[str, Any]) -> Stream:
    """The data with other settings; where only the batch size differs, the same rows in memory."""
    own: Mapping[str, Any] = stream.spec  # type: ignore[attr-defined]
    size = spec.get("batch_size")
    other = {key for key in {*own, *spec} if own.get(key) != spec.get(key)}
    if other != {"batch_size"} or spec["name"] != "resident":
        return open_stream(spec)
    made: Any = copy.copy(stream)
    made.spec, made.batch_size = dict(spec), min(size, made.size("train")) if isinstance(size, int) else size
    return made if isinstance(size, int) else open_stream(spec)


def keep_trace(folder: Path, number: int) -> None:
    (folder / "failures").mkdir(exist_ok=True)
    (folder / "failures" / f"trial-{number}.txt").write_text(traceback.format_exc(), encoding="utf-8")


def main() -> None:
    """Answer tasks until the input ends."""
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # what components print must not mix with the answers
    terms = json.loads(sys.stdin.readline())
    for path in terms["files"]:
        registry.include(Path(path))
    stream = open_stream(terms["data"])
    trainer = Trainer(stream, terms["measure"], terms["higher"], terms["pruner"], Path(terms["trials"]))
    for line in sys.stdin:
        asked = json.loads(line)
        task = Task(asked["number"], Recipe.from_mapping(asked["recipe"]), asked["prune"])
        answers.write(trainer(task, Watch()).line())
        answers.flush()


if __name__ == "__main__":
    main()
