"""What the answers of learners look like, read from the per-example columns of their runs and pooled over seeds.

Counts are pooled: a row that three seeds answered counts three times, be it the same test split or one drawn anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thetastar.functional.counts import confusion_matrix
from thetastar.functional.keys import mix
from thetastar.functional.reliability import reliability_means, reliability_sums
from thetastar.outer.examples import Examples
from thetastar.outer.ranked import Ranked, ranked
from thetastar.protocols import Split
from thetastar.run import Run

Array = NDArray[Any]
BINS = 10
WORST = 12  # rows a learner
SHOWN = 3  # learners whose worst rows are shown
POINTS = 400  # of a scatter plot
RESIDUALS = 25  # bins of a histogram
CLASSES = 1000  # above, no confusion matrix is counted


@dataclass(frozen=True)
class Mistake:
    """A row that a learner gets wrong, over the seeds that answered it.

    Attributes:
        row: its number in the data; for runs without numbers, its place in the split.
        truth, said: class numbers (the commonest wrong answer), or numbers (the mean answer).
        probability, of_truth: means of the probability of the wrong answer and of the truth; None for numbers.
        wrong, seeds: how many of the answers were wrong.
        score: what ranks it.
    """

    row: int
    truth: float
    said: float
    probability: float | None
    of_truth: float | None
    wrong: int
    seeds: int
    score: float


@dataclass(frozen=True)
class Answers:
    """One learner on one split.

    Attributes:
        seeds, count: runs, and answers in all of them.
        reliability: examples, mean probability and frequency by bin; of the second class where there are two, else of
            the answer given.
        confusion: (classes, classes) counts, rows the truth.
        ranked: for each seed that answered rows of both of two classes.
        points: (n, 2) truth and prediction, a sample.
        residuals: (edges, counts) of prediction − truth; `quartiles`: between which half of them lie.
        worst: the most confident mistakes, or the largest errors.
    """

    seeds: int
    count: int
    reliability: tuple[Array, Array, Array] | None = None
    confusion: Array | None = None
    ranked: list[Ranked] = field(default_factory=list[Ranked])
    points: Array | None = None
    residuals: tuple[Array, Array] | None = None
    quartiles: tuple[float, float] | None = None
    worst: list[Mistake] = field(default_factory=list[Mistake])


@dataclass(frozen=True)
class Evidence:
    """What several learners answered on one split.

    Attributes:
        kind: "category" or "number".
        names: of the classes.
        answers: by learner, the best first.
        hard: rows that every learner gets wrong, or where even the best of them is far off.
        redrawn: every seed answered other rows.
    """

    split: Split
    kind: str
    names: tuple[str, ...]
    answers: dict[str, Answers]
    hard: list[Mistake]
    redrawn: bool = False
    examples: Examples = field(default_factory=Examples)

    @property
    def rows(self) -> list[int]:
        """Rows that are shown one by one."""
        first = list(self.answers.values())[:SHOWN]
        shown = [*self.hard, *(mistake for answers in first for mistake in answers.worst)]
        return sorted({mistake.row for mistake in shown})


def gather(runs: Mapping[str, Sequence[Path]], split: Split, examples: Examples | None = None) -> Evidence | None:
    """The evidence of runs, a list of seeds for each learner, best first; None where no run kept its answers."""
    kind, names = target_of([path for paths in runs.values() for path in paths])
    columns = {name: [read(path, split) for path in paths] for name, paths in runs.items()}
    known = {name: [one for one in seeds if one] for name, seeds in columns.items()}
    known = {name: seeds for name, seeds in known.items() if seeds}
    if kind not in ("category", "number") or not known:
        return None
    errors = {name: errors_of(seeds, kind) for name, seeds in known.items()}
    answers = {
        name: summary(seeds, kind, len(names), worst(errors[name], errors[name]["score"]))
        for name, seeds in known.items()
    }
    hard = hardest(list(errors.values()), kind)
    redrawn = any(not np.array_equal(seed["row"], seeds[0]["row"]) for seeds in known.values() for seed in seeds)
    return Evidence(split, kind, names, answers, hard, redrawn, examples or Examples())


def target_of(paths: Sequence[Path]) -> tuple[str, tuple[str, ...]]:
    """Kind of the target and names of its classes, as the first run describes them."""
    for path in paths[:1]:
        target: dict[str, Any] = Run.open(path).read_json("schema.json")["schema"].get("target") or {}
        classes = target.get("classes") or 0
        return target.get("kind", ""), tuple(target.get("names") or map(str, range(classes)))
    return "", ()


def read(path: Path, split: Split) -> dict[str, Array]:
    """The answers of one run; {} where it has none. What is no number cannot be drawn, and is left out."""
    columns = Run.open(path).columns(split)
    if "predicted" not in columns or "target" not in columns:
        return {}
    columns.setdefault("row", np.arange(len(columns["target"])))
    kept = {name: columns[name] for name in ("predicted", "target", "row", "confidence", "of_truth") if name in columns}
    finite = np.all([np.isfinite(column) for column in kept.values()], axis=0)
    return {name: column[finite] for name, column in kept.items()} if finite.any() else {}


def pooled(seeds: Sequence[Mapping[str, Array]], name: str) -> Array:
    return np.concatenate([seed[name] for seed in seeds])


def summary(seeds: Sequence[Mapping[str, Array]], kind: str, classes: int, mistakes: list[Mistake]) -> Answers:
    said, truth = pooled(seeds, "predicted"), pooled(seeds, "target")
    if kind == "number":
        chosen = sample(len(truth), POINTS)
        counts, edges = np.histogram(said - truth, RESIDUALS, central(said - truth))
        points = np.stack([truth[chosen], said[chosen]], 1)
        low, high = (float(value) for value in np.quantile(said - truth, (0.25, 0.75)))
        return Answers(
            len(seeds),
            len(truth),
            points=points,
            residuals=(edges, counts),
            quartiles=(low, high),
            worst=mistakes,
        )
    confidence, of_truth = pooled(seeds, "confidence"), pooled(seeds, "of_truth")
    if classes == 2:
        probability, came_true = np.where(truth == 1, of_truth, 1 - of_truth), truth == 1
    else:
        probability, came_true = confidence, said == truth
    diagram = reliability_means(reliability_sums(torch.from_numpy(probability), torch.from_numpy(came_true), BINS))
    matrix = None
    if classes <= CLASSES:
        matrix = confusion_matrix(torch.from_numpy(said), torch.from_numpy(truth), classes).numpy()
    count, mean, frequency = (part.numpy() for part in diagram)
    curves = [ranked(seed["of_truth"], seed["target"] == 1) for seed in seeds] if classes == 2 else []
    known = [curve for curve in curves if curve]
    return Answers(len(seeds), len(truth), (count, mean, frequency), matrix, known, worst=mistakes)


def central(residuals: Array) -> tuple[float, float]:
    """A range about 0 that holds 98% of the residuals; the rest is beyond the frame."""
    most = float(np.quantile(np.abs(residuals), 0.98)) or 1.0
    return -most, most


def sample(count: int, most: int) -> Array:
    """Places of so many examples, the same ones every time."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.Generator(np.random.PCG64(mix("points"))).choice(count, most, replace=False))


# --- rows that go wrong ----------------------------------------------------------------------------------------------


def errors_of(seeds: Sequence[Mapping[str, Array]], kind: str) -> dict[str, Array]:
    """By distinct row: truth, commonest wrong answer (or mean answer), probabilities, how many seeds, and the score.

    The score is the mean over seeds of the probability given to a wrong answer, or of the size of the error.
    """
    row, truth, said = (pooled(seeds, name) for name in ("row", "target", "predicted"))
    rows, first, of = np.unique(row, return_index=True, return_inverse=True)

    def total(values: Array) -> Array:
        return np.bincount(of, values.astype(np.float64), len(rows))

    seen = total(np.ones(len(row)))
    found = {"row": rows, "truth": truth[first], "seeds": seen}
    if kind == "number":
        error = np.abs(said - truth)
        return found | {"said": total(said) / seen, "wrong": seen, "score": total(error) / seen}
    miss = said != truth
    confidence, of_truth = pooled(seeds, "confidence"), pooled(seeds, "of_truth")
    wrong = total(miss)
    some = np.maximum(wrong, 1)
    answer = truth[first].copy()
    surest = np.lexsort((confidence, miss))  # the surest wrong answer of a row is written last
    answer[of[surest]] = said[surest]
    return found | {
        "said": answer,
        "wrong": wrong,
        "probability": total(miss * confidence) / some,
        "of_truth": total(of_truth) / seen,
        "score": total(miss * confidence) / seen,
    }


def worst(errors: Mapping[str, Array], score: Array) -> list[Mistake]:
    """The rows of the highest score, the wrong ones alone."""
    order = np.argsort(-score, kind="stable")[:WORST]
    shown = [place for place in order.tolist() if score[place] > 0]
    odds = "probability" in errors
    return [
        Mistake(
            int(errors["row"][place]),
            float(errors["truth"][place]),
            float(errors["said"][place]),
            float(errors["probability"][place]) if odds else None,
            float(errors["of_truth"][place]) if odds else None,
            int(errors["wrong"][place]),
            int(errors["seeds"][place]),
            float(score[place]),
        )
        for place in shown
    ]


def hardest(errors: Sequence[Mapping[str, Array]], kind: str) -> list[Mistake]:
    """Rows that most seeds of every learner get wrong, or whose smallest error of all learners is largest."""
    if len(errors) < 2:
        return []
    rows = errors[0]["row"]
    for other in errors[1:]:
        rows = np.intersect1d(rows, other["row"])
    places = [np.searchsorted(each["row"], rows) for each in errors]
    aligned = [
        {name: column[place] for name, column in each.items()} for each, place in zip(errors, places, strict=True)
    ]
    scores = np.stack([each["score"] for each in aligned])
    if kind == "number":
        best = scores.argmin(0)
        nearest = {name: np.stack([each[name] for each in aligned])[best, np.arange(len(rows))] for name in aligned[0]}
        return worst(nearest, nearest["score"])
    missed = np.stack([each["wrong"] > each["seeds"] / 2 for each in aligned]).all(0)
    total = {name: np.sum([each[name] for each in aligned], 0) for name in ("wrong", "seeds")}
    return worst({**aligned[0], **total}, np.where(missed, scores.mean(0), 0.0))


# --- files -----------------------------------------------------------------------------------------------------------


def load_examples(file: Path) -> Examples:
    """The rows that were kept to be shown; none where there is no file."""
    if not file.is_file():
        return Examples()
    return Examples.from_json(json.loads(file.read_text(encoding="utf-8")))
