"""Which way of learning helps where few examples have labels, and by how much: a curve over their number.

    plan → pre-train, once a seed → learn from every number of labels → open the test split once → judge

Every learner sees the same examples: the same few with labels, the same rest without. A method that learns features
alone becomes two learners, whose labelled stage begins with the same pre-trained f: a linear probe, and fine-tuning.
The folder holds labels.json (the question), pretrained/<method>/seed-k and runs/<learner>/labels-n/seed-k (plain run
folders), found.json and report.html; a comparison is continued from what is found there.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thetastar.data.few_labels import few_labels
from thetastar.defaults import completed
from thetastar.errors import UserError
from thetastar.functional.jsonable import strict
from thetastar.hardware import provenance
from thetastar.outer import wording
from thetastar.outer.compare import NO_ROOM, ask, describe
from thetastar.outer.entrants import Entrant, Plan, plan
from thetastar.outer.folder import Folder, Slot, read, slug
from thetastar.outer.labelled import FORMAT, Found, terms_of
from thetastar.outer.learners import WHERE, Learner
from thetastar.outer.progress import Overall
from thetastar.outer.statistics import is_binary
from thetastar.outer.trial import Trial, load_trial, open_test, train_trial
from thetastar.outer.verdict import Row, Verdict, grade, judge_all
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.snapshot import write_atomic
from thetastar.star import train
from thetastar.watch import Watch


def compare_labels(
    data: Any,
    counts: Sequence[int],
    methods: Sequence[Any] = (),
    *,
    model: Any = None,
    seeds: int = 5,
    budget: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    out: Path,
    watch: Watch | None = None,
) -> Found:
    """Train every learner on every number of labels and seed, and judge every pair at each number.

    Args:
        data: as `compare` takes them; classes as targets.
        counts: numbers of labels.
        methods: names or specs; supervised, mean_teacher and byol by default.
        model: f, the same for all; by default what suits the data.
        budget: {"epochs": …} or {"steps": …} with labels; as many come before without them, where a method pre-trains.
        overrides: `algorithm.lr=0.01` for all.
        out: the folder; one that was begun is continued.
    """
    made = plan(data, counts, methods, model, seeds, budget or {}, overrides)
    return Contest(made, Path(out), watch or Watch()).answer()


class Contest:
    """One in flight."""

    def __init__(self, made: Plan, folder: Path, watch: Watch) -> None:
        self.plan, self.folder, self.watch = made, folder, watch
        self.failed: dict[tuple[str, int], str] = {}
        self.partial = False
        self.openings: dict[int, list[str]] = {count: [] for count in made.counts}

    def answer(self) -> Found:
        """All phases; Ctrl-C ends training, and what is finished is judged."""
        self.begin()
        progress = self.announce()
        try:
            for seed in range(self.plan.seeds):
                for entrant in self.plan.entrants:
                    for count in self.plan.counts:
                        self.attempt(entrant, count, lambda e=entrant, n=count, s=seed: self.train(e, n, s, progress))
        except KeyboardInterrupt:
            self.partial = True
            self.watch.say("interrupted; judging the seeds that are finished")
        found = self.judge()
        self.write("found.json", found.to_json())
        from thetastar.report.few_labels import write

        write(found, self.folder / "report.html")
        return found

    def begin(self) -> None:
        """Write the question, or refuse where another one was begun here."""
        learners = {entrant.name: question(entrant.recipe) for entrant in self.plan.entrants}
        before = {entrant.method: question(entrant.before) for entrant in self.plan.entrants if entrant.before}
        entry = json.loads(json.dumps(strict({"format": FORMAT, "learners": learners, "before": before})))
        file = self.folder / "labels.json"
        if file.is_file():
            old = read(file, "learners", "before")
            for part in ("learners", "before"):
                for name, asked in entry[part].items():
                    if old[part].get(name, asked) != asked:
                        got = f"{self.folder} holds another '{name}'"
                        raise UserError(got, "the same learner on the same terms", "choose another --out")
                entry[part] = {**old[part], **entry[part]}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not file.is_file() and any(self.folder.iterdir()):
                raise UserError(f"{self.folder} is not empty", "a new folder", "choose another --out")
            self.write("labels.json", {**entry, "provenance": provenance()})
        except OSError as error:
            reason = f"cannot write {self.folder}: {error.strerror}"
            raise UserError(reason, "a folder one can write", "choose another --out") from None

    def announce(self) -> Overall:
        """Say what will be done."""
        made = self.plan
        for line in made.streams[made.entrants[0].method].plain:
            self.watch.say(line)
        names = ", ".join(entrant.name for entrant in made.entrants)
        counts = wording.listed([f"{count:,}" for count in made.counts])
        self.watch.say(f"comparing {names} with {counts} labels × {wording.counted(made.seeds, 'seed')}")
        for line in terms_of(made):
            self.watch.say(line)
        before = len({entrant.method for entrant in made.entrants if entrant.before})
        return Overall(self.watch, made.seeds * (before + len(made.entrants) * len(made.counts)))

    def attempt(self, entrant: Entrant, count: int, act: Callable[[], None]) -> None:
        """A learner that fails at a number of labels becomes a row with the reason; all others go on."""
        if (entrant.name, count) in self.failed:
            return
        try:
            act()
        except Exception as error:
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise  # no fault of the learner: what is finished is kept, and the same command goes on
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self.failed[entrant.name, count] = reason
            Folder(self.folder).failed(f"{entrant.folder}-{count}", traceback.format_exc())
            self.watch.say(f"{entrant.name} with {count:,} labels failed: {reason}")

    # --- training --------------------------------------------------------------------------------------------------

    def slot(self, entrant: Entrant, count: int, seed: int) -> Slot:
        return Slot(self.folder / "runs" / entrant.folder / f"labels-{count}" / f"seed-{seed}")

    def pretrained(self, entrant: Entrant, seed: int) -> Slot:
        return Slot(self.folder / "pretrained" / slug(entrant.method) / f"seed-{seed}")

    def stream(self, entrant: Entrant, count: int, seed: int) -> few_labels:
        """The labels that are kept are the same for all learners of a seed."""
        return self.plan.streams[entrant.method].relabelled(count, seed)

    def train(self, entrant: Entrant, count: int, seed: int, progress: Overall) -> None:
        """One run; what it begins with is trained first, where no learner of its seed has done that."""
        recipe = entrant.recipe
        if entrant.before is not None:
            place = self.pretrained(entrant, seed)
            if not place.finished:
                part = progress.part(1.0, f"{entrant.method}, seed {seed}")
                stream = self.plan.unlabelled[entrant.method]
                train(completed(entrant.before.replace(seed=seed), stream), place.path, stream=stream, watch=part)
                progress.finish(1.0)
            engine = {**recipe.engine, "weights": str(place.path.expanduser().absolute())}
            recipe = recipe.replace(engine=engine)
        slot, stream = self.slot(entrant, count, seed), self.stream(entrant, count, seed)
        if not slot.finished:
            part = progress.part(1.0, f"{entrant.name}, {count:,} labels, seed {seed}")
            asked = completed(recipe.replace(seed=seed, data=stream.spec), stream)
            train_trial(asked, slot.path, stream, part)
        progress.finish(1.0)

    # --- judging ---------------------------------------------------------------------------------------------------

    def judge(self) -> Found:
        """Open the test split after every training; every pair at each number of labels, corrected for all."""
        asked: list[Any] = []
        for count in self.plan.counts:
            trials = {entrant.name: self.tested(entrant, count) for entrant in self.plan.entrants}
            columns = {name: {seed: each.column for seed, each in found.items()} for name, found in trials.items()}
            every = [column for found in columns.values() for column in found.values()]
            binary = bool(every) and all(map(is_binary, every))
            stream = self.stream(self.plan.entrants[0], count, 0)
            learners = [Learner(entrant.name, entrant.recipe) for entrant in self.plan.entrants]
            q = replace(ask(learners, stream, self.plan.seeds, False, 0, {"steps": self.plan.steps}), said=stream.said)
            rows = [self.row(entrant, count, trials[entrant.name]) for entrant in self.plan.entrants]
            for row in rows:
                if row.seeds:
                    grade(row, columns[row.name], q, binary)
            asked.append((rows, columns, q, binary))
        pairs = judge_all([one[:3] for one in asked])
        about = provenance()
        verdicts = [
            Verdict(q, rows, found, binary, self.partial, sorted(self.openings[count]), [], about)
            for count, (rows, _, q, binary), found in zip(self.plan.counts, asked, pairs, strict=True)
        ]
        before = {e.name: int(e.before.budget["steps"]) for e in self.plan.entrants if e.before}
        return Found(list(self.plan.counts), verdicts, self.plan.steps, before, terms_of(self.plan))

    def tested(self, entrant: Entrant, count: int) -> dict[int, Trial]:
        """Its finished runs; those that were tested before are read, not tested again."""
        found: dict[int, Trial] = {}

        def one(seed: int) -> None:
            slot = self.slot(entrant, count, seed)
            self.openings[count] += slot.openings
            if not slot.tested:
                open_test(slot.path, self.stream(entrant, count, seed))
            found[seed] = load_trial(slot.path, entrant.recipe.measures)

        for seed in range(self.plan.seeds):
            if self.slot(entrant, count, seed).finished:
                self.attempt(entrant, count, lambda seed=seed: one(seed))
        return {} if (entrant.name, count) in self.failed else found

    def row(self, entrant: Entrant, count: int, trials: Mapping[int, Trial]) -> Row:
        """What a learner did with so many labels; its seconds are those of both stages."""
        row = Row(entrant.name, recipe=entrant.recipe.to_yaml(), seeds=sorted(trials))
        reason = self.failed.get((entrant.name, count))
        if reason is not None:
            row.state, row.reason = "failed", reason
        elif trials:
            row.state = "finished" if len(trials) == self.plan.seeds else "unfinished"
            describe(row, [trials[seed] for seed in row.seeds])
            if entrant.before is not None and row.train_seconds is not None:
                facts = [Run.open(self.pretrained(entrant, seed).path).measures["facts"] for seed in row.seeds]
                row.train_seconds += sum(fact["seconds"] for fact in facts) / len(facts)
        return row

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        write_atomic(self.folder / name, (json.dumps(strict(value), indent=1, ensure_ascii=False) + "\n").encode())


def question(recipe: Recipe) -> dict[str, Any]:
    """What makes it this learner and no other: all but its seed, its labels, and where it runs."""
    entry = recipe.to_mapping()
    data = {key: value for key, value in entry["data"].items() if key not in ("labels", "label_seed")}
    engine = {key: value for key, value in entry["engine"].items() if key not in WHERE}
    return {**{key: value for key, value in entry.items() if key != "seed"}, "data": data, "engine": engine}
