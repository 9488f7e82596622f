"""Trials of a grid that differ only in numbers, trained as one population where that is faster.

    trials → groups → possible, and faster by some steps of both? → one training → a record each

A member of a population is what its trial alone is, but for rounding; its best epoch and its patience are its own.
Whatever speaks against it is kept as a reason, and the trials are trained one by one.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thetastar import equation
from thetastar.defaults import completed
from thetastar.errors import UserError
from thetastar.functional.jsonable import strict
from thetastar.functional.pacing import medians
from thetastar.outer import wording
from thetastar.outer.alike import TROUBLES, Group, different, groups, parts, unlike, value_at
from thetastar.outer.folder import read
from thetastar.outer.spaces import spoken
from thetastar.outer.trying import Record, Trainer, astray
from thetastar.protocols import Batch, Stream
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.snapshot import write_atomic
from thetastar.trace import Row
from thetastar.watch import Watch

if TYPE_CHECKING:
    from thetastar.outer.progress import Overall
    from thetastar.outer.study import Study

FILE = "together.json"
FASTER = 1.25  # times the speed of one by one: a fifth of the time saved


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether some trials are trained together.

    Attributes:
        trials: their numbers, the first being 0.
        gain: how many times as fast as one by one; None where it was not measured.
        execution: how the population computes its members.
        because: what speaks against it.
        settings: which all of them have and other trials have not.
    """

    trials: tuple[int, ...]
    together: bool
    gain: float | None = None
    execution: str = ""
    because: str = ""
    settings: str = ""

    @property
    def said(self) -> str:
        """'9 trials are trained together: 3.4× faster than one by one'."""
        trials = wording.counted(len(self.trials), "trial") + (f" with {self.settings}" if self.settings else "")
        if self.together:
            return f"{trials} are trained together: {self.gain:.1f}× faster than one by one"
        reason = self.because or f"together they are {self.gain:.1f}× as fast"
        return f"{trials} are trained one by one: {reason}"


def decisions(folder: Path) -> list[dict[str, Any]]:
    """What was decided of the trials of a study; none where it is no grid."""
    return read(folder / FILE) if (folder / FILE).is_file() else []


class Jointly:
    """The trials of a study that are trained together.

    Args:
        trainer: knows the streams.
        progress: of the whole study.
        expected: seconds that one trial takes alone.
    """

    def __init__(self, study: Study, trainer: Trainer, progress: Overall, expected: float) -> None:
        self.study, self.trainer, self.progress, self.expected = study, trainer, progress, expected
        self.decisions = [Decision(**{**one, "trials": tuple(one["trials"])}) for one in decisions(study.folder)]

    def run(self) -> None:
        """Train what is faster together; the others are left to be trained one by one."""
        lone = 0
        for group in self.groups():
            if len(group.numbers) == 1:
                lone += 1
                continue
            for part in parts(group):
                decision = self.known(part) or self.decided(part)
                self.progress.watch.say(decision.said)
                if decision.together:
                    self.train(part, decision)
        if lone > 1:
            trials = wording.counted(lone, "trial")
            self.progress.watch.say(f"{trials} are trained one by one: what they differ in cannot vary in one training")

    def groups(self) -> Iterator[Group]:
        """Of the trials that are left; one whose recipe cannot be made says so when it is tried by itself."""
        study, found = self.study, dict[int, tuple[Recipe, Stream]]()
        done = {trial.number for trial in study.trials}
        for number in range(len(study.grid)):
            if number not in done:
                recipe = study.drawn(number, study.grid[number])
                try:
                    stream = self.trainer.of(recipe.data)
                    found[number] = completed(recipe, stream), stream
                except UserError:
                    continue
        return groups(found, [space.path for space in study.searched.values()], study.measure)

    def known(self, group: Group) -> Decision | None:
        """What was decided before an interruption."""
        for decision in self.decisions:
            if group.numbers == decision.trials or (
                not decision.together and set(group.numbers) <= set(decision.trials)
            ):
                return decision
        return None

    def decided(self, group: Group) -> Decision:
        try:
            because = unlike(group)
            gain, execution, because = (None, "", because) if because else tried(group, self.study.terms.jobs)
        except TROUBLES as error:
            gain, execution, because = None, "", said(error)
        together = bool(gain and gain >= FASTER)
        decision = Decision(group.numbers, together, gain, execution, because, self.shared(group))
        self.keep(decision)
        return decision

    def shared(self, group: Group) -> str:
        """What the trials of a group have in common out of what differs in the grid."""
        paths = [space.path for space in self.study.searched.values() if len(space.distribution.choices) > 1]
        found = {path: {spoken(value_at(recipe, path)) for recipe in group.recipes} for path in paths}
        return " ".join(f"{path}={values.pop()}" for path, values in found.items() if len(values) == 1)

    def keep(self, decision: Decision) -> None:
        self.decisions = [one for one in self.decisions if one.trials != decision.trials] + [decision]
        entries = ",\n".join(json.dumps(strict(dataclasses.asdict(one))) for one in self.decisions)
        write_atomic(self.study.folder / FILE, f"[\n{entries}\n]\n".encode())

    def train(self, group: Group, decision: Decision) -> None:
        """One training, which an interruption leaves to be continued; where it fails, each is tried by itself."""
        first, last = (number + 1 for number in (group.numbers[0], group.numbers[-1]))
        seconds = self.expected * len(group.numbers)
        part = self.progress.part(seconds, f"trials {first}–{last} of {self.study.terms.trials}")
        place = self.study.folder / "together" / f"{first}-{last}"
        recipe, began = group.recipe(decision.execution), time.perf_counter()
        run = opened(place, completed(recipe, group.stream))
        try:
            outcome = equation.fit(recipe, run=run, stream=group.stream, watch=Members(part, group, self.study.higher))
            lost = astray(outcome)
        except TROUBLES as error:
            self.keep(dataclasses.replace(decision, together=False, because=said(error)))
            self.progress.watch.say(self.decisions[-1].said)
        else:
            rows, steps = run.trace(), outcome.facts["planned_steps"]
            spent = round((time.perf_counter() - began) / len(group.numbers), 3)
            for k, number in enumerate(group.numbers):
                record = group.judged(k, rows, steps, outcome.values, lost[k])
                record.drawn, record.seconds = self.study.grid[number], spent
                self.study.take(record)
            self.told([trial for trial in self.study.trials if trial.number in group.numbers])
            self.progress.finish(seconds)
        shutil.rmtree(place)
        if not any(place.parent.iterdir()):
            place.parent.rmdir()

    def told(self, records: Sequence[Record]) -> None:
        """Which trials failed, a line for each reason."""
        by_reason: dict[str, list[str]] = {}
        for record in records:
            if record.state == "failed":
                by_reason.setdefault(record.reason, []).append(str(record.number + 1))
        for reason, numbers in by_reason.items():
            which = f"trial{'' if len(numbers) == 1 else 's'} {wording.listed(numbers)}"
            self.progress.watch.say(f"{which} failed: {reason}")


def tried(group: Group, jobs: int) -> tuple[float | None, str, str]:
    """How many times as fast as one by one, in `jobs` processes; in which execution; why not at all."""
    stream = group.stream
    many, lone = started(group.recipe(), stream), started(group.recipes[0], stream)
    window = list(islice(stream.batches("train", many.clock()), many.engine.accumulate))
    if because := different(many, group, window[0]):
        return None, "", because
    seconds = medians({"together": step(many, window), "alone": step(lone, window)})
    mode: str = many.program.method.mode  # type: ignore[assignment]
    return len(group.numbers) * seconds["alone"] / seconds["together"] / jobs, mode, ""


def started(recipe: Recipe, stream: Stream) -> equation.Training:
    recipe = completed(recipe, stream)
    training = equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())
    training.begin()
    return training


def step(training: equation.Training, window: Sequence[Batch]) -> Callable[[], None]:
    """A step of a training that is thrown away, always the first."""

    def act() -> None:
        training.step = 0
        training.one_step(window)

    return act


def opened(place: Path, recipe: Recipe) -> Run:
    """What is left of the same training, to be continued; else a new folder."""
    try:
        run = Run.open(place)
        if run.recipe.to_mapping() == recipe.to_mapping():
            return run
    except UserError:  # killed before it was begun
        pass
    if place.exists():
        shutil.rmtree(place)
    return Run.create(place, recipe)


def said(error: Exception) -> str:
    """The first line of what is wrong."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


class Members(Watch):
    """Hears one training of many trials and says of valid what the best of them has."""

    def __init__(self, inner: Watch, group: Group, higher: bool) -> None:
        self.inner, self.prefix, self.best = inner, f"valid.{group.measure}", max if higher else min

    def step(self, step: int, steps: int) -> None:
        self.inner.step(step, steps)

    def row(self, row: Row) -> None:
        values = [value for name, value in row.items() if name.startswith(f"{self.prefix}.") and math.isfinite(value)]
        rest = {name: value for name, value in row.items() if not name.startswith("valid.")}
        self.inner.row(rest | ({self.prefix: self.best(values)} if values else {}))

    def say(self, line: str) -> None:
        self.inner.say(line)

    def decided(self, line: str) -> None:
        self.inner.decided(line)
