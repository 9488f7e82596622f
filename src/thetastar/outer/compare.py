"""The main job: several ways of learning on one data set, on equal terms, ending in a verdict.

    plan → tune (valid) → train (valid) → open the test split once → judge

A comparison is a folder: compare.json (the question), tuning/, runs/<learner>/seed-k (plain run folders), verdict.json,
examples.json (rows that the page shows) and report.html. It is continued from what is found there.
"""

from __future__ import annotations

import dataclasses
import errno
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thetastar import equation, registry
from thetastar.defaults import completed, data_spec, open_stream, with_target
from thetastar.errors import UserError
from thetastar.hardware import provenance
from thetastar.outcome import Outcome
from thetastar.outer import noise, tuning, wording
from thetastar.outer.folder import Folder
from thetastar.outer.learners import COLUMN_OF, Learner, data_of, gather, measures_of
from thetastar.outer.progress import Overall, duration, expected_seconds
from thetastar.outer.statistics import is_binary
from thetastar.outer.together import How, Seeds, together_of
from thetastar.outer.trial import Trial, load_trial, open_test, train_trial
from thetastar.outer.verdict import Question, Row, Verdict, grade, judge
from thetastar.protocols import Stream
from thetastar.recipe import Recipe
from thetastar.watch import Watch

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
SMALL = 1000  # rows below which a new split a seed is the default


def compare(
    data: Any,
    models: Sequence[Any] | None = None,
    *,
    target: str | None = None,
    methods: Sequence[Any] | None = None,
    recipes: Sequence[Any] | None = None,
    seeds: int = 5,
    resplit: bool | None = None,
    budget: Mapping[str, Any] | None = None,
    trials: int = 0,
    out: str | Path | None = None,
    engine: Mapping[str, Any] | None = None,
    watch: Watch | None = None,
    overrides: Sequence[str] = (),
    together: How = "auto",
) -> Verdict:
    """Train several learners on the same data, with the same budget, seeds and tuning trials, and judge every pair.

    Args:
        data: a name, a path, a spec, (inputs, targets), or a pandas frame; None takes what the recipes name.
        target: the column of a table to predict.
        models, methods: every model with every method; by default what suits the task.
        recipes: paths or recipes; their data, measures and, where one is given, budget are those of the comparison,
            which takes the measures that all of them name alike.
        seeds: runs of each learner, ≥ 1.
        resplit: a new split a seed; by default below 1,000 rows where the data do not give a test split.
        budget: {"epochs": …}, {"steps": …} or {"seconds": …} for every run.
        trials: of tuning for every learner, on valid; 0 tunes nothing.
        out: the folder of the comparison; one that was begun is continued.
        overrides: `algorithm.lr=0.05`, for all learners.
        together: the seeds of a learner that share one split are trained as one population where that gives the same
            stars: "auto" where it is faster, True always, False never.

    Returns:
        The verdict; after Ctrl-C that of the finished seeds, marked partial.
    """
    if seeds < 1 or trials < 0:
        raise UserError(f"seeds={seeds}, trials={trials}", "at least one seed and no negative trials", "write seeds=5")
    if isinstance(data, tuple) and len(data) == 2:
        data = {"name": "arrays", "inputs": data[0], "targets": data[1]}
    if data is None:
        data = data_of(recipes or [])
    base = Recipe(data=data_spec(with_target(data, target))).override(
        [text for text in overrides if text.startswith("data.")]
    )
    stream = open_stream(base.data)
    if not stream.size("test"):
        raise UserError("the data have no test split", "a test split", "set data.test to a share such as 0.2")
    measures = measures_of(stream.schema, recipes or [])
    base = base.replace(measures=measures, budget=dict(budget or {}), engine=dict(engine or {}))
    learners = gather(base, stream, models, methods, recipes, overrides)
    redraw = wants_resplit(resplit, stream, seeds)
    question = ask(learners, stream, seeds, redraw, trials, dict(budget or {}))
    if out is not None:
        return Comparison(question, learners, stream, Folder(Path(out)), watch or Watch(), together).answer()
    with tempfile.TemporaryDirectory(prefix="theta-compare-") as place:
        return Comparison(question, learners, stream, Folder(Path(place)), watch or Watch(), together).answer()


def wants_resplit(wanted: bool | None, stream: Stream, seeds: int) -> bool:
    """Whether every seed draws a new split: as asked, else for small data that leave the split to us."""
    source = getattr(stream, "source", None)
    fixed = "test" in (getattr(source, "given", None) or {}) or getattr(source, "times", None) is not None
    possible = not fixed and "split_seed" in getattr(stream, "spec", {})
    if wanted and not possible:
        raise UserError("resplit of data that come with a test split", "data to split", "leave --resplit out")
    if wanted and seeds < 2:
        raise UserError("resplit with one seed", "at least two seeds, a split each", "raise --seeds")
    rows = sum(stream.size(split) for split in ("train", "valid", "test"))
    return possible and seeds > 1 and rows < SMALL if wanted is None else wanted


def ask(
    learners: list[Learner], stream: Stream, seeds: int, resplit: bool, trials: int, budget: dict[str, Any]
) -> Question:
    measure = learners[0].recipe.measures[0]["name"]
    source = getattr(stream, "source", None)
    sizes = {split: stream.size(split) for split in ("train", "valid", "test")}
    return Question(
        title=getattr(source, "name", "data"),
        task=stream.schema.task,
        measure=measure,
        higher=bool(getattr(registry.load("measures", measure), "higher_is_better", True)),
        root=measure in COLUMN_OF,
        resplit=resplit,
        seeds=seeds,
        trials=trials,
        budget=budget,
        n_train=sizes["train"],
        n_valid=sizes["valid"],
        n_test=sizes["test"],
        rows=sum(sizes.values()),
        fingerprint=stream.fingerprint,
        said=list(stream.said),
        noise=noise.described(stream.schema),
    )


class Comparison:
    """One comparison in flight."""

    def __init__(
        self,
        question: Question,
        learners: list[Learner],
        stream: Stream,
        folder: Folder,
        watch: Watch,
        together: How = "auto",
    ) -> None:
        self.question, self.learners, self.folder, self.watch = question, learners, folder, watch
        self.together: How = together
        self.streams = {0: stream}
        self.rows = {learner.name: begun(learner, question.measure) for learner in learners}
        self.trials: dict[str, dict[int, Trial]] = {learner.name: {} for learner in learners}
        self.tuned: dict[str, Recipe] = {}
        self.expected: dict[str, float] = {}
        self.partial = False
        self.openings: list[str] = []

    def answer(self) -> Verdict:
        """All phases; Ctrl-C ends training, and what is finished is judged."""
        self.folder.begin(self.question, self.learners)
        try:
            progress = self.announce()
            for learner in self.learners:
                self.attempt(learner, lambda learner=learner: self.tune(learner, progress))
            for seed in range(
                self.question.seeds
            ):  # every learner's first seed, then every second: any stop leaves pairs
                for learner in self.learners:
                    self.attempt(learner, lambda learner=learner, seed=seed: self.train(learner, seed, progress))
                if seed == 0 and 0 < progress.done < progress.total:
                    self.watch.say(f"one seed of every learner is done; {progress.left()} to go")
        except KeyboardInterrupt:
            self.partial = True
            self.watch.say("interrupted; judging the seeds that are finished")
        self.test()
        return self.folder.finish(self.judge(), self.streams[0])

    def attempt(self, learner: Learner, act: Callable[[], None]) -> None:
        """A learner that fails, for whatever reason, becomes a row with that reason; the others go on."""
        row = self.rows[learner.name]
        if row.state == "failed":
            return
        try:
            act()
        except Exception as error:
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise  # no fault of the learner: what is finished is kept, and the same command goes on
            row.state = "failed"
            row.reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self.folder.failed(learner.name, traceback.format_exc())
            self.watch.say(f"{learner.name} failed: {row.reason}")

    def stream(self, seed: int) -> Stream:
        """The data of a seed: the same for all, or a split of its own. Only the first and the current one stay open."""
        if not self.question.resplit:
            return self.streams[0]
        if seed not in self.streams:
            first = self.streams[0]
            spec = first.spec  # type: ignore[attr-defined]
            self.streams = {0: first, seed: open_stream({**spec, "split_seed": spec["split_seed"] + seed})}
        return self.streams[seed]

    # --- phases --------------------------------------------------------------------------------------------------

    def announce(self) -> Overall:
        """Say what will be done and what it costs, from a short probe of each learner."""
        q = self.question
        for line in q.said:
            self.watch.say(line)
        for learner in self.learners:
            self.attempt(learner, lambda learner=learner: self.probe(learner))
        left = {
            name: sum(not self.folder.run(name, seed).finished for seed in range(q.seeds)) for name in self.expected
        }
        tried = {learner.name: self.folder.tried(learner.name) for learner in self.learners}
        left = {name: count + max(q.trials - tried[name], 0) for name, count in left.items()}
        seconds = sum(count * self.expected[name] for name, count in left.items())
        kind = "each on a split of its own" if q.resplit else "all on one split"
        tuned = f", {q.trials} tuning trials each" if q.trials else ", nothing tuned"
        names = ", ".join(learner.name for learner in self.learners)
        size = f"{wording.counted(len(self.learners), 'learner')} × {wording.counted(q.seeds, 'seed')}"
        self.watch.say(f"comparing {names}: {size}, {kind}{tuned}")
        if q.resplit and self.together is True:
            self.watch.say("seeds on splits of their own are trained one by one")
        to_do = sum(left.values())
        cost = f"{wording.counted(to_do, 'training')} to do, about {duration(seconds)}"
        self.watch.say(cost if to_do else "nothing left to train")
        return Overall(self.watch, seconds)

    def probe(self, learner: Learner) -> None:
        self.expected[learner.name] = expected_seconds(learner.recipe, self.stream(0))

    def tune(self, learner: Learner, progress: Overall) -> None:
        self.tuned[learner.name] = learner.recipe
        if not self.question.trials:
            return
        expected = self.expected[learner.name]

        def fit(recipe: Recipe, number: int) -> Outcome:
            outcome = equation.fit(
                recipe, stream=self.stream(0), watch=progress.part(expected, f"{learner.name}, trial {number + 1}")
            )
            progress.finish(expected)
            return outcome

        found = tuning.tune(learner.recipe, self.stream(0), self.question.trials, self.folder.tuning(learner.name), fit)
        self.rows[learner.name].tuned = dataclasses.asdict(found)
        self.tuned[learner.name] = found.apply(learner.recipe)
        self.rows[learner.name].recipe = self.tuned[learner.name].to_yaml()

    def train(self, learner: Learner, seed: int, progress: Overall) -> None:
        run, expected = self.folder.run(learner.name, seed), self.expected[learner.name]
        left = not run.finished
        trained = self.train_together(learner, progress) if left else []
        if left and not trained:
            part = progress.part(expected, f"{learner.name}, seed {seed}")
            train_trial(self.recipe(learner, seed), run.path, self.stream(seed), part)
        row = self.rows[learner.name]
        row.seeds = sorted({*row.seeds, *trained, seed})
        if left:  # last: whoever watches may interrupt here, and the run is finished
            progress.finish(expected * max(len(trained), 1))

    def train_together(self, learner: Learner, progress: Overall) -> list[int]:
        """All seeds of a learner as one, where they share a split; those that are finished by that."""
        if self.question.resplit:
            return []
        seeds = Seeds(
            learner.name,
            self.question.seeds,
            lambda seed: self.recipe(learner, seed),
            lambda seed: self.folder.run(learner.name, seed),
            self.stream(0),
            self.folder.together(learner.name),
            self.expected[learner.name],
        )
        return seeds.train(self.together, progress)

    def recipe(self, learner: Learner, seed: int) -> Recipe:
        """The complete recipe of a run, as it was tuned."""
        stream = self.stream(seed)
        recipe = self.tuned[learner.name].replace(seed=seed, data=stream.spec)  # type: ignore[attr-defined]
        return completed(recipe, stream)

    def test(self) -> None:
        """Open the test split, after every choice; runs that were tested before are read, not tested again."""
        for seed in range(self.question.seeds):
            for learner in self.learners:
                if seed in self.rows[learner.name].seeds:
                    self.attempt(learner, lambda learner=learner, seed=seed: self.test_one(learner, seed))

    def test_one(self, learner: Learner, seed: int) -> None:
        run = self.folder.run(learner.name, seed)
        self.openings += run.openings  # also those of a test that was cut short
        if not run.tested:
            open_test(run.path, self.stream(seed))
        self.trials[learner.name][seed] = load_trial(run.path, learner.recipe.measures)

    def judge(self) -> Verdict:
        q = self.question
        columns = {
            name: {seed: trial.column for seed, trial in trials.items()}
            for name, trials in self.trials.items()
            if self.rows[name].state != "failed"
        }
        every = [column for by_seed in columns.values() for column in by_seed.values()]
        binary = bool(every) and all(map(is_binary, every))
        for learner in self.learners:
            row, trials = self.rows[learner.name], self.trials[learner.name]
            if row.state != "failed" and trials:
                row.seeds = sorted(trials)
                row.state = "finished" if len(row.seeds) == q.seeds else "unfinished"
                describe(row, [trials[seed] for seed in row.seeds])
                row.together = together_of(self.folder.together(row.name), row.seeds)
                self.attempt(learner, lambda row=row: grade(row, columns[row.name], q, binary))
        rows = list(self.rows.values())
        pairs = judge(rows, columns, q)
        return Verdict(q, rows, pairs, binary, self.partial, sorted(self.openings), self.notes(), provenance())

    def notes(self) -> list[str]:
        found: list[str] = []
        if len({str(learner.recipe.budget) for learner in self.learners}) > 1:
            found.append("The recipes have different budgets, so the terms are not equal.")
        if self.question.resplit and self.question.trials:
            found.append(
                "Tuning saw the first split only; rows that it trained on or chose by are test rows of other splits, "
                "so qualities may come out a little high."
            )
        return found


def begun(learner: Learner, measure: str) -> Row:
    """The row of a learner before it is trained; of published figures only one of the measure that decides."""
    row = Row(learner.name, recipe=learner.recipe.to_yaml())
    if learner.published is not None and learner.published.measure == measure:
        row.published = dataclasses.asdict(learner.published)
    return row


def describe(row: Row, trials: list[Trial]) -> None:
    """What a row says beside its quality: means over seeds, the highest memory."""

    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    row.test = {name: sum(t.test[name] for t in trials) / len(trials) for name in trials[0].test}
    row.noisy = mean([t.noisy for t in trials])
    row.parameters = trials[0].cost.get("parameters")
    row.train_seconds = mean([t.cost.get("train_seconds") for t in trials])
    row.predict_ms = mean([t.cost.get("predict_ms") for t in trials])
    row.memory = max((t.cost["memory"] for t in trials if t.cost.get("memory") is not None), default=None)
    row.curves = [t.curve for t in trials]
    row.losses = [t.losses for t in trials]
