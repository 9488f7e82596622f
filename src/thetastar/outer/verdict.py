"""What a comparison found: a row a learner, a verdict a pair, what they rest on. Plain values that survive as JSON."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thetastar.functional.display import fragment
from thetastar.functional.jsonable import strict
from thetastar.outer import statistics
from thetastar.outer.statistics import ALPHA, Array, Settle, Spread

if TYPE_CHECKING:
    from rich.table import Table

    from thetastar.outer.evidence import Evidence

State = Literal["finished", "unfinished", "failed"]
Outcome = Literal["first", "second", "open"]


@dataclass(frozen=True)
class Question:
    """What was asked, and of what data.

    Attributes:
        measure: what ranks the learners.
        higher: whether more of it is better.
        root: the measure is the root of what is tested (RMSE is shown, squared errors are compared).
        resplit: whether every seed drew a new split.
        n_train, n_test, rows: examples of one split and in all.
        said: one line a decision taken about the data.
    """

    title: str
    task: str
    measure: str
    higher: bool
    root: bool
    resplit: bool
    seeds: int
    trials: int
    budget: dict[str, Any]
    n_train: int
    n_valid: int
    n_test: int
    rows: int
    fingerprint: str
    said: list[str]
    noise: str | None


@dataclass
class Row:
    """One learner: its quality on test, a mean over seeds with a 95% interval; `test`: means of all measures.

    `published`: what others reported of the measure that decides, as {"value", "source", "measure"}. `together`: which
    seeds were trained as one, and how much faster that was; their seconds and memory are shares.
    """

    name: str
    state: State = "unfinished"
    reason: str | None = None
    seeds: list[int] = field(default_factory=list[int])
    quality: float | None = None
    low: float | None = None
    high: float | None = None
    per_seed: list[float] = field(default_factory=list[float])
    test: dict[str, float] = field(default_factory=dict[str, float])
    noisy: float | None = None
    parameters: int | None = None
    train_seconds: float | None = None
    predict_ms: float | None = None
    memory: int | None = None
    tuned: dict[str, Any] | None = None
    recipe: str = ""
    published: dict[str, Any] | None = None
    together: str | None = None
    curves: list[list[list[float]]] = field(
        default_factory=list[list[list[float]]]
    )  # a seed: [[step, value on valid], …]
    losses: list[list[list[float]]] = field(
        default_factory=list[list[list[float]]]
    )  # a seed: [[step, seconds, mean training loss of an epoch], …]


@dataclass(frozen=True)
class Pair:
    """Two learners on the seeds that both finished. A positive difference favours the first.

    `low` and `high` bound the difference with 95% confidence for this pair alone; the outcome counts all pairs
    (`p_holm`).
    """

    first: str
    second: str
    outcome: Outcome
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    remedy: statistics.Remedy
    number: int
    seeds: int


@dataclass(frozen=True)
class Verdict:
    """The answer to `compare`.

    Attributes:
        binary: outcomes are right or wrong, so differences are said in points.
        partial: it was interrupted: some seeds are missing.
        openings: when the test split of runs had been opened before, one entry an opening.
        notes: what else a reader should know.
        evidence: what the answers look like; lives in the run folders, not in the JSON.
    """

    question: Question
    rows: list[Row]
    pairs: list[Pair]
    binary: bool
    partial: bool
    openings: list[str]
    notes: list[str]
    provenance: dict[str, Any]
    evidence: Evidence | None = field(default=None, compare=False, repr=False)

    @property
    def ranked(self) -> list[Row]:
        """Finished learners, best first."""
        known = [row for row in self.rows if row.quality is not None]
        return sorted(known, key=lambda row: row.quality or 0.0, reverse=self.question.higher)

    def pair(self, first: str, second: str) -> Pair | None:
        """The verdict on two learners, seen from `first`."""
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.first, pair.second) == (second, first):
                return turned(pair)
        return None

    def sentences(self) -> list[str]:
        """What a person would say, the overall finding first."""
        from thetastar.outer import wording

        return wording.sentences(self)

    def sentence(self) -> str:
        return " ".join(self.sentences())

    def table(self, width: int | None = None) -> Table:
        """One row a learner, for a terminal of so many columns."""
        from thetastar.outer import wording

        return wording.table(self, width)

    def matrix(self, width: int | None = None) -> Table:
        """Every learner against every other, for a terminal of so many columns."""
        from thetastar.outer import wording

        return wording.matrix(self, width)

    def _repr_html_(self) -> str:
        """In a notebook: the verdict in words, then a row a learner."""
        from thetastar.outer import wording

        said = wording.sentences(self) or [""]
        rows = [wording.cells(row, self) for row in self.ranked]
        return fragment(said[0], said[1:], wording.columns(self), rows)

    def to_html(self, path: str | Path) -> Path:
        """A self-contained page; returns its path."""
        from thetastar.report.comparison import write

        return write(self, Path(path))

    def to_json(self) -> dict[str, Any]:
        plain = dataclasses.asdict(dataclasses.replace(self, evidence=None))
        del plain["evidence"]
        return strict(plain)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Verdict:
        """The inverse of `to_json`."""
        return cls(
            **{
                **state,
                "question": Question(**state["question"]),
                "rows": [Row(**row) for row in state["rows"]],
                "pairs": [Pair(**pair) for pair in state["pairs"]],
            }
        )


def turned(pair: Pair) -> Pair:
    """The same verdict seen from the other side."""
    outcomes: dict[Outcome, Outcome] = {"first": "second", "second": "first", "open": "open"}
    return dataclasses.replace(
        pair,
        first=pair.second,
        second=pair.first,
        outcome=outcomes[pair.outcome],
        difference=-pair.difference,
        low=-pair.high,
        high=-pair.low,
    )


# --- from results to verdicts ----------------------------------------------------------------------------------------

Columns = Mapping[str, Mapping[int, Array]]  # learner → seed → per-example results on test


def grade(row: Row, columns: Mapping[int, Array], question: Question, binary: bool) -> None:
    """Fill in the quality of a row and its interval, from per-example results of its seeds."""
    by_seed = np.array([columns[seed].mean() for seed in row.seeds])
    mean = float(by_seed.mean())
    spread = spread_of([columns[seed] for seed in row.seeds], question, binary)
    low, high = statistics.interval(mean, spread, question.n_test, binary) if spread else (math.nan, math.nan)
    if min(column.min() for column in columns.values()) >= 0:  # nor is its mean below 0, or above 1 where it is a share
        low = max(low, 0.0)
    if question.measure in ("accuracy", "balanced_accuracy", "jaccard", "image_iou", "pixel_accuracy", "top_k"):
        high = min(high, 1.0)
    if question.root:
        mean, low, high = math.sqrt(mean), math.sqrt(max(low, 0.0)), math.sqrt(high)
        by_seed = np.sqrt(by_seed)
    row.quality, row.low, row.high, row.per_seed = mean, low, high, by_seed.tolist()


def spread_of(columns: list[Array], question: Question, binary: bool) -> Spread | None:
    """The spread of a mean over seeds and examples; None where it cannot be known (one split of many, one example)."""
    if question.resplit and question.seeds > 1:
        if len(columns) < 2:
            return None
        means = np.array([column.mean() for column in columns])
        return statistics.resplit_spread(means, question.n_train, question.n_test, binary)
    return statistics.fixed_spread(np.stack(columns), binary) if len(columns[0]) > 1 else None


@dataclass(frozen=True)
class _Trial:
    """A pair before the correction for all pairs."""

    first: str
    second: str
    d: list[Array]
    spread: Spread
    unit: float  # from the tested scale to the shown one

    @property
    def effect(self) -> float:
        return float(np.mean([column.mean() for column in self.d]))


def judge(rows: list[Row], columns: Columns, question: Question) -> list[Pair]:
    """Every pair of learners on the seeds and test examples that both have, corrected for their number."""
    return judge_all([(rows, columns, question)])[0]


def judge_all(asked: Sequence[tuple[list[Row], Columns, Question]]) -> list[list[Pair]]:
    """Every pair of several comparisons, corrected for the number of all of them."""
    trials = [trials_of(*one) for one in asked]
    every = [trial for each in trials for trial in each]
    if not every:
        return [[] for _ in asked]
    p = np.array([float(trial.spread.p(trial.effect)) for trial in every])
    both = iter(zip(p, statistics.holm(p), strict=True))
    return [
        [pronounce(trial, *next(both), question, len(every)) for trial in each]
        for each, (_, _, question) in zip(trials, asked, strict=True)
    ]


def trials_of(rows: list[Row], columns: Columns, question: Question) -> list[_Trial]:
    trials: list[_Trial] = []
    judged = [row for row in rows if row.quality is not None]
    for a, b in itertools.combinations(judged, 2):
        seeds = sorted(set(a.seeds) & set(b.seeds))
        sign = 1.0 if question.higher else -1.0
        d = [sign * (columns[a.name][seed] - columns[b.name][seed]) for seed in seeds]
        spread = spread_of(d, question, all(map(statistics.is_binary, d))) if d else None
        if spread:
            # a² − b² = (a − b)(a + b): squared errors back in the target's units
            unit = 1.0 / ((a.quality or 0.0) + (b.quality or 0.0) or 1.0) if question.root else 1.0
            trials.append(_Trial(a.name, b.name, d, spread, unit))
    return trials


def pronounce(trial: _Trial, p: float, p_holm: float, question: Question, pairs: int) -> Pair:
    effect, half = trial.effect, float(trial.spread.half())
    decided = p_holm <= ALPHA
    outcome: Outcome = ("first" if effect > 0 else "second") if decided else "open"
    settle = Settle("none") if decided else settle_of(trial, question, ALPHA / pairs)
    difference, low, high = (trial.unit * value for value in (effect, effect - half, effect + half))
    return Pair(
        trial.first,
        trial.second,
        outcome,
        difference,
        low,
        high,
        float(p),
        float(p_holm),
        settle.remedy,
        settle.number,
        len(trial.d),
    )


def settle_of(trial: _Trial, question: Question, alpha: float) -> Settle:
    binary = all(map(statistics.is_binary, trial.d))
    if question.resplit and question.seeds > 1:
        means = np.array([column.mean() for column in trial.d])
        return statistics.settle_resplit(
            trial.effect, means, question.n_train, question.n_test, question.rows, binary, alpha
        )
    d = np.stack(trial.d)
    return statistics.settle_fixed(trial.effect, statistics.components(d), d.shape[1], len(d), binary, alpha)
