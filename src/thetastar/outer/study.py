"""A search for better settings of one recipe, on valid: the default first, then what the sampler proposes.

    plan → trials (valid) → the default and the best again, with fresh seeds (valid)

The test split is never opened. A study is a folder: study.json (the question), trials.jsonl (a line a trial, written
when it ends), fresh.jsonl, best.yaml. It is continued from what is found there; with one process at a time to the same
trials, because a proposal is a function of the trials before it, of its number and of the seed.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from thetastar import registry
from thetastar.defaults import completed
from thetastar.errors import UserError, nearest
from thetastar.functional.jsonable import strict
from thetastar.hardware import provenance
from thetastar.outer import hands, wording
from thetastar.outer.folder import read
from thetastar.outer.importance import importance
from thetastar.outer.jointly import Jointly
from thetastar.outer.learners import WHERE
from thetastar.outer.progress import Overall, expected_seconds
from thetastar.outer.pruning import RULES
from thetastar.outer.spaces import CHOICES, Choice, Space, spoken, with_values
from thetastar.outer.trying import Record, Task, Trainer, rebatched, records
from thetastar.outer.tuning import propose, starts, usable, values_of
from thetastar.protocols import Stream
from thetastar.recipe import GIVEN, Recipe
from thetastar.snapshot import write_atomic
from thetastar.watch import Watch

FORMAT = 1
SAMPLERS = ("tpe", "random")
ASKED = ("recipe", "searched", "sampler", "pruner", "fingerprint")  # trials and fresh seeds may grow


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How to search.

    Args:
        trials: ≥ 1, the default being the first.
        sampler: tpe, the tree-structured Parzen estimator, random, or grid for all combinations of some values.
        pruner: which trainings are ended early: median, halving or none.
        jobs: processes that train at the same time, ≥ 1.
        fresh: seeds with which the default and the best are trained again, ≥ 0.
        files: with components of users, for the processes.
    """

    trials: int = 30
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    pruner: str = "median"
    jobs: int = 1
    fresh: int = 3
    files: Sequence[Path] = ()

    def check(self) -> None:
        for name, least in (("trials", 1), ("jobs", 1), ("fresh", 0)):
            if getattr(self, name) < least:
                option = "confirm" if name == "fresh" else name
                raise UserError(f"--{option} {getattr(self, name)}", f"at least {least}", "raise it")
        for name, known in (("sampler", SAMPLERS), ("pruner", tuple(RULES))):
            given = getattr(self, name)
            if given not in known:
                raise UserError(f"--{name} {given}", f"one of {', '.join(known)}", nearest(given, known))


@dataclass(frozen=True)
class Fresh:
    """A recipe of the study trained again with another seed; no value where that failed."""

    trial: int
    seed: int
    value: float | None


@dataclass
class Study:
    """What is searched, and what was found so far.

    Attributes:
        default: the complete recipe that trials change.
        bases: the complete recipe under every choice of component.
        searched: spaces by label.
        grid: the draws of all trials where they are given.
        trials: by number; `fresh`: trainings with other seeds.
    """

    default: Recipe
    stream: Stream
    bases: dict[Choice, Recipe]
    searched: dict[str, Space]
    terms: Terms
    folder: Path
    grid: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    trials: list[Record] = field(default_factory=list[Record])
    fresh: list[Fresh] = field(default_factory=list[Fresh])

    @property
    def measure(self) -> str:
        return str(self.default.measures[0]["name"])

    @property
    def higher(self) -> bool:
        return bool(getattr(registry.load("measures", self.measure), "higher_is_better", True))

    @property
    def finished(self) -> list[Record]:
        return [trial for trial in self.trials if trial.state == "finished" and usable(trial.value)]

    @property
    def best(self) -> Record | None:
        """The first of the best."""
        sign = 1 if self.higher else -1
        return max(self.finished, key=lambda trial: (sign * (trial.value or 0.0), -trial.number), default=None)

    def best_so_far(self) -> list[float | None]:
        """After each trial."""
        found: list[float | None] = []
        for trial in self.trials:
            values = [v for v in (found[-1] if found else None, trial.value) if v is not None and math.isfinite(v)]
            found.append((max(values) if self.higher else min(values)) if values else None)
        return found

    def importance(self) -> dict[str, float]:
        return importance(self.searched, self.trials, self.higher)

    def recipe(self, number: int) -> Recipe:
        """The recipe of a trial, to be completed."""
        return self.changed(next(trial for trial in self.trials if trial.number == number).values)

    def drawn(self, number: int, drawn: Mapping[str, Any]) -> Recipe:
        """The recipe of a draw; the first is the default."""
        return self.changed(values_of(self.searched, drawn) if number else {})

    def moved(self, trial: Record) -> dict[str, Any]:
        """The settings of a trial that are not those of the default."""
        same = values_of(self.searched, starts(self.searched))
        return {path: value for path, value in trial.values.items() if path not in same or same[path] != value}

    def changed(self, values: Mapping[str, Any]) -> Recipe:
        if not values:
            return self.default
        chosen: Choice = tuple((path, value) for path, value in values.items() if path in CHOICES)
        return with_values(self.bases[chosen], {path: v for path, v in values.items() if path not in CHOICES})

    def pairs(self) -> list[tuple[float, float]]:
        """(default, best) on valid by fresh seed, where both were trained."""
        best = self.best
        if best is None or best.number == 0:
            return []
        known = {(one.trial, one.seed): one.value for one in self.fresh if usable(one.value)}
        seeds = sorted({seed for _, seed in known})[: self.terms.fresh]
        both = [(known.get((0, seed)), known.get((best.number, seed))) for seed in seeds]
        return [(one, other) for one, other in both if one is not None and other is not None]

    # --- files ------------------------------------------------------------------------------------------------------

    def question(self) -> dict[str, Any]:
        recipe = self.default.to_mapping()
        recipe["engine"] = {key: value for key, value in recipe["engine"].items() if key not in WHERE}
        return {
            "recipe": recipe,
            "searched": {label: space.described() for label, space in self.searched.items()},
            "sampler": self.terms.sampler,
            "pruner": self.terms.pruner,
            "fingerprint": self.stream.fingerprint,
        }

    def begin(self) -> None:
        """Write the question and read what was tried, or refuse where another study was begun here."""
        file = self.folder / "study.json"
        question = json.loads(json.dumps(strict(self.question())))
        if file.is_file():
            different = [key for key in ASKED if read(file, *ASKED)[key] != question[key]]
            if different:
                words = {"recipe": "another recipe", "searched": "other spaces", "fingerprint": "other data"}
                what = wording.listed([words.get(key, f"another {key}") for key in different])
                raise UserError(f"{self.folder} holds a study with {what}", "the same question", "choose another --out")
        else:
            self.make()
            self.write("study.json", {"format": FORMAT, **question, "provenance": provenance()})
        self.trials = records(self.file)
        self.file.write_text("".join(trial.line() for trial in self.trials), encoding="utf-8")
        lines = (
            (self.folder / "fresh.jsonl").read_text().splitlines() if (self.folder / "fresh.jsonl").is_file() else []
        )
        self.fresh = [Fresh(**json.loads(line)) for line in lines if line.endswith("}")]

    def make(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise UserError(f"{self.folder} is not empty", "a new folder or a study", "choose another --out")
        except OSError as error:
            raise UserError(
                f"cannot write {self.folder}: {error.strerror}", "a folder one can write", "choose another --out"
            ) from None

    @property
    def file(self) -> Path:
        return self.folder / "trials.jsonl"

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(strict(value), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(self.folder / name, f"{text}\n".encode())

    def write_best(self) -> Path | None:
        """best.yaml, complete, so that `theta fit --recipe` trains what the trial trained."""
        if self.best is None:
            return None
        recipe = self.recipe(self.best.number)
        recipe = completed(recipe, rebatched(self.stream, recipe.data))
        write_atomic(self.folder / "best.yaml", recipe.to_yaml().encode())
        return self.folder / "best.yaml"

    # --- phases -----------------------------------------------------------------------------------------------------

    def run(self, watch: Watch) -> None:
        """All that is left to do."""
        left = max(self.terms.trials - len(self.trials), 0)
        if not left and len(self.fresh) >= 2 * self.terms.fresh:
            return
        expected = expected_seconds(self.default, self.stream)
        progress = Overall(watch, expected * (left + 2 * self.terms.fresh) / self.terms.jobs)
        trainer = Trainer(self.stream, self.measure, self.higher, self.terms.pruner, self.file)
        workers = self.hands(trainer, progress, expected)
        try:
            if self.grid:
                Jointly(self, trainer, progress, expected).run()
            self.search(workers, watch, progress, expected)
            self.confirm(workers, progress, expected)
        finally:
            for worker in workers:
                if isinstance(worker, hands.Process):
                    worker.close()

    def hands(self, trainer: Trainer, progress: Overall, expected: float) -> list[hands.Hand]:
        if self.terms.jobs > 1:
            if GIVEN in self.default.to_yaml():
                raise UserError(
                    "several processes on data given in Python", "data with a name or a path", "write jobs=1"
                )
            terms = {
                "files": [str(path.resolve()) for path in self.terms.files],
                "data": self.default.to_mapping()["data"],
                "measure": self.measure,
                "higher": self.higher,
                "pruner": self.terms.pruner,
                "trials": str(self.file.resolve()),
            }
            return [hands.Process(terms, self.folder / "processes.log") for _ in range(self.terms.jobs)]
        return [lambda task: trainer(task, progress.part(expected, self.doing(task)))]

    def doing(self, task: Task) -> str:
        if not task.prune:
            return "fresh seeds"
        return f"trial {task.number + 1} of {self.terms.trials}{self.so_far()}"

    def so_far(self) -> str:
        return f", best {wording.amount(self.measure, self.best.value)}" if self.best else ""

    def search(self, workers: Sequence[hands.Hand], watch: Watch, progress: Overall, expected: float) -> None:
        running: dict[int, dict[str, Any]] = {}

        def ask() -> Task | None:
            taken = {trial.number for trial in self.trials} | set(running)
            number = next(number for number in itertools.count() if number not in taken)
            if number >= self.terms.trials:
                return None
            drawn = self.draw(number, running)
            running[number] = drawn
            return Task(number, self.drawn(number, drawn), prune=number > 0 and not self.grid)

        def keep(record: Record) -> None:
            record.drawn = running.pop(record.number)
            self.take(record)
            if record.state == "failed":
                watch.say(f"trial {record.number + 1} failed: {record.reason}")
            progress.finish(expected / self.terms.jobs)
            if self.terms.jobs > 1:
                watch.row({"run": f"{len(self.trials)} of {self.terms.trials} trials{self.so_far()}"})

        hands.work(workers, ask, keep)

    def take(self, record: Record) -> None:
        """A trial that came out, with what was drawn for it."""
        record.values = values_of(self.searched, record.drawn) if record.number else {}
        record = Record(**json.loads(record.line()))  # as it will be read
        with self.file.open("a", encoding="utf-8") as file:
            file.write(record.line())
        self.trials = sorted([*self.trials, record], key=lambda trial: trial.number)

    def draw(self, number: int, running: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
        if self.grid:
            return self.grid[number]
        if number == 0:
            return starts(self.searched)
        done = [vars(trial) for trial in self.trials]
        done += [{"drawn": drawn, "value": None, "running": True} for drawn in running.values()]
        kind: Literal["tpe", "random"] = "random" if self.terms.sampler == "random" else "tpe"
        return propose(self.searched, done, number, self.higher, seed=self.default.seed, sampler=kind)

    def confirm(self, workers: Sequence[hands.Hand], progress: Overall, expected: float) -> None:
        """The default and the best once more with seeds that no choice has seen, in pairs."""
        best = self.best
        if best is None or best.number == 0:
            return
        seeds = range(self.default.seed + 1, self.default.seed + 1 + self.terms.fresh)
        known = {(one.trial, one.seed) for one in self.fresh}
        wanted = [(trial, seed) for seed in seeds for trial in (0, best.number) if (trial, seed) not in known]
        waiting = iter(enumerate(wanted))

        def ask() -> Task | None:
            number, (trial, seed) = next(waiting, (0, (0, None)))
            return None if seed is None else Task(number, self.recipe(trial).replace(seed=seed), prune=False)

        def keep(record: Record) -> None:
            trial, seed = wanted[record.number]
            one = Fresh(trial, seed, record.value)
            with (self.folder / "fresh.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(strict(vars(one)), allow_nan=False) + "\n")
            self.fresh.append(one)
            progress.finish(expected / self.terms.jobs)

        hands.work(workers, ask, keep)


def settings(values: Mapping[str, Any]) -> str:
    """'algorithm.lr=0.003 model.widths=[64,32]', as it can be typed."""
    return " ".join(f"{path}={spoken(value)}".replace(" ", "") for path, value in values.items())
