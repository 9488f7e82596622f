"""Labels that everything else about the row speaks against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thetastar.look.encoding import Matrix, features
from thetastar.look.findings import Finding, Section, few, listed
from thetastar.look.identifiers import identifiers
from thetastar.look.sheet import sheet
from thetastar.look.subject import Subject

SHOWN = 20
FEWEST = 50
LARGE = 5000  # rows from which three folds and fewer trees do
FAR = 6.0  # robust standard deviations of a residual
CLEAR = 0.5  # p(other) − p(given) that makes a row suspect where no threshold is reached
TELLING = 0.3  # of the way from guessing to certainty that a model must come before its word counts
NOTABLE = 0.03  # share of suspects that is worth more than a glance


@dataclass(frozen=True)
class Suspects:
    """Rows whose label is disputed, the most disputed first, with p of the given and of the other class."""

    rows: NDArray[np.int64]
    given: NDArray[np.float64]
    other: NDArray[np.float64]
    guess: NDArray[np.int64]


def label_noise(subject: Subject) -> Section | None:
    """Confident learning: a row is suspect where a model that never saw it is confident of another class.

    Row i with label y is suspect if argmax over {k: pᵢ(k) ≥ tₖ} is not y, tₖ the mean p(k) over the rows labelled k;
    p is of a random forest on the other folds. Where no threshold is reached, the most probable class counts
    if it leads by `CLEAR`. Suspects are ordered by p(other) − p(given).

    Source: Northcutt, Jiang and Chuang 2021, Confident learning: estimating uncertainty in dataset labels.
    """
    if subject.labels is None:
        return None
    rows = subject.sample(subject.labelled, "labels")
    looked = f"inputs and labels of {len(rows):,} rows of train and valid; the test split not at all"
    x, _ = features(subject, rows, tuple(identifiers(subject)))
    if len(rows) < FEWEST or x.shape[1] == 0:
        return Section(name="Label suspects", looked_at=looked, said=(f"too little to say ({len(rows):,} rows)",))
    labels = subject.labels[rows]
    if not subject.names:
        return _far_numbers(subject, rows, x, labels.astype(float), looked)
    probabilities = out_of_fold(x, labels.astype(int))
    right, base = (probabilities.argmax(1) == labels).mean(), np.bincount(labels).max() / len(labels)
    if right - base < TELLING * (1 - base):
        said = f"The columns say too little of the label to dispute any (right in {right:.1%}, guessing {base:.1%})."
        return Section(name="Label suspects", looked_at=looked, said=(said,))
    found = disputed(probabilities, labels.astype(int))
    names = subject.names
    table = [
        (int(rows[i]), names[int(labels[i])], float(given), names[int(guess)], float(other))
        for i, given, other, guess in zip(found.rows, found.given, found.other, found.guess, strict=True)
    ]
    share = len(found.rows) / len(rows)
    said = "No label is confidently disputed."
    findings: list[Finding] = []
    if table:
        said = "Classes that overlap look like this too: a suspect is a row to look at, not an error."
        evidence = (
            f"{len(table):,} of {len(rows):,} rows ({share:.1%}), first row {few([line[0] for line in table], 3)}"
        )
        findings.append(
            Finding(
                what="labels that a model on other rows confidently disputes",
                evidence=evidence,
                severity="medium" if share >= NOTABLE else "low",
                rows=listed([line[0] for line in table]),
                suggestion="look at them from the top; mend what is wrong and leave what is only hard",
            )
        )
    tiles = [(line[0], f"{line[1]}?{line[3]}") for line in table[:SHOWN]] if subject.images is not None else []
    return Section(
        name="Label suspects",
        looked_at=looked,
        findings=tuple(findings),
        said=(said,),
        heads=("row", "label", "p(label)", "rather", "p(rather)") if table else (),
        rows=tuple(table[:SHOWN]),
        picture=sheet(subject, [("", tiles[i : i + 10]) for i in range(0, len(tiles), 10)]) if tiles else None,
        alt="The most disputed images, each with its label and the class that the model would rather give",
    )


def out_of_fold(x: Matrix, labels: NDArray[np.int64]) -> Matrix:
    """(rows, classes): probabilities by models that did not see the row; an unseen class has 0."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import KFold, StratifiedKFold

    folds, trees = (5, 100) if len(x) < LARGE else (3, 60)
    counts = np.bincount(labels)
    split = StratifiedKFold if counts[counts > 0].min() >= folds else KFold
    classes = int(labels.max()) + 1
    found = np.zeros((len(x), classes))
    for fit, judged in split(folds, shuffle=True, random_state=0).split(x, labels):
        forest = RandomForestClassifier(trees, min_samples_leaf=2, n_jobs=-1 if len(x) >= LARGE else 1, random_state=0)
        forest.fit(x[fit], labels[fit])
        found[judged[:, None], np.asarray(forest.classes_, int)[None]] = forest.predict_proba(x[judged])
    return found


def disputed(probabilities: Matrix, labels: NDArray[np.int64]) -> Suspects:
    """Off the diagonal of the confident joint, ordered by p(other) − p(given)."""
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    classes = probabilities.shape[1]
    threshold = np.array([own[labels == k].mean() if (labels == k).any() else np.inf for k in range(classes)])
    confident = np.where(probabilities >= threshold, probabilities, -1.0)
    guess = np.where(confident.max(1, keepdims=True) > 0, confident, probabilities).argmax(1)
    ahead = probabilities[rows, guess] - own
    suspect = np.flatnonzero((guess != labels) & (ahead > np.where(confident.max(1) > 0, 0.0, CLEAR)))
    margin = probabilities[suspect, guess[suspect]] - own[suspect]
    suspect = suspect[np.argsort(-margin, kind="stable")]
    return Suspects(suspect, own[suspect], probabilities[suspect, guess[suspect]], guess[suspect])


def _far_numbers(subject: Subject, rows: NDArray[np.int64], x: Matrix, y: Matrix, looked: str) -> Section:
    """Targets far from what a forest on the other folds expects, in robust standard deviations of its residuals."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import KFold

    folds, trees = (5, 100) if len(x) < LARGE else (3, 40)
    expected = np.empty(len(y))
    for fit, judged in KFold(folds, shuffle=True, random_state=0).split(x):
        forest = RandomForestRegressor(trees, min_samples_leaf=3, n_jobs=-1 if len(x) >= LARGE else 1, random_state=0)
        expected[judged] = forest.fit(x[fit], y[fit]).predict(x[judged])
    residual = y - expected
    centre = np.median(residual)
    scale = 1.4826 * np.median(np.abs(residual - centre))  # that of a normal with this median deviation
    far = np.abs(residual - centre) / scale if scale > 0 else np.zeros(len(y))
    order = [int(i) for i in np.argsort(-far, kind="stable") if far[i] >= FAR]
    table = tuple((int(rows[i]), float(y[i]), float(expected[i]), float(far[i])) for i in order[:SHOWN])
    findings = []
    if order:
        findings.append(
            Finding(
                what="targets far from what the inputs suggest",
                evidence=f"{len(order):,} of {len(rows):,} rows lie ≥ {FAR:g} robust standard deviations off",
                severity="low",
                rows=listed(rows[order]),
                suggestion="look at them: slips of the pen, or what the inputs do not tell",
            )
        )
    said = () if order else (f"no target lies {FAR:g} robust standard deviations from what is expected",)
    heads = ("row", subject.target, "expected", "robust deviations") if table else ()
    return Section(
        name="Label suspects", looked_at=looked, findings=tuple(findings), said=said, heads=heads, rows=table
    )
