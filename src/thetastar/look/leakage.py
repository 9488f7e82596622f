"""Columns that know too much: copies of the target, identifiers, and columns that predict it alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.look.correlations import crossed, spearman
from thetastar.look.encoding import Matrix, columns_used, descriptions, numbers, said_of_width
from thetastar.look.findings import Finding, Section
from thetastar.look.identifiers import identifiers
from thetastar.look.subject import Subject

MOST = 4000
FEWEST = 30
COPY = 0.95  # of the way from guessing to certainty, by a column with hardly more values than there are classes
SAME_ORDER = 0.995  # |Spearman| with a number
NEARLY = 0.985  # of the way from guessing to certainty
AHEAD = 0.3  # of the next best column: good columns have company
BETRAYS = 0.3  # what an identifier may not reach


@dataclass(frozen=True)
class Alone:
    """What a column reaches alone: `gain` on rows not fitted on, and whether it has the form of a copy."""

    name: str
    gain: float
    copy: str


def leakage(subject: Subject) -> Section:
    """Each column predicts the target alone by a small tree, judged on rows it was not fitted on.

    gain = (accuracy − share of the commonest class) / (1 − that share), or R² for a number.
    """
    ids = identifiers(subject)
    looked = f"inputs of all {subject.count:,} rows for identifiers"
    found: list[Alone] = []
    lines = list(said_of_width(subject))
    if subject.labels is not None and len(subject.labelled) >= FEWEST:
        looked += f"; for prediction {subject.where_labelled}"
        found = alone(subject)
    elif subject.labels is not None:
        lines.append(f"too few labelled rows to try columns alone ({len(subject.labelled):,})")
    gains = {one.name: one.gain for one in found}
    findings = _suspects(found, subject.target, tuple(ids))
    findings += [_identifier(name, reason, gains.get(name, 0.0)) for name, reason in ids.items()]
    if not findings:
        lines.insert(0, "no suspects found")
    if found and subject.images is not None:
        lines.append("of images: brightness, contrast and corners, which should not tell a class alone")
    order = {"high": 0, "medium": 1, "low": 2}
    return Section(
        name="Leakage suspects",
        looked_at=looked,
        findings=tuple(sorted(findings, key=lambda finding: order[finding.severity])),
        said=tuple(lines),
        heads=("column alone", "gain over guessing") if found else (),
        rows=tuple((one.name, one.gain) for one in found[:10]),
    )


def _identifier(name: str, reason: str, gain: float) -> Finding:
    betrays = gain >= BETRAYS
    return Finding(
        what="an identifier that predicts the target"
        if betrays
        else "a column that looks like an identifier or counter",
        evidence=f"'{name}': {reason}" + (f"; alone it gains {gain:.2f} over guessing" if betrays else ""),
        severity="high" if betrays else "medium",
        columns=(name,),
        suggestion=f"leave it out: data.drop=[{name}]; if it is a time, split by it",
    )


def alone(subject: Subject) -> list[Alone]:
    """Every column's gain, the largest first."""
    assert subject.labels is not None
    rows = subject.sample(subject.labelled, "leakage", MOST)
    y = subject.labels[rows].astype(float)
    if subject.images is not None:
        frame = descriptions(subject, rows)
    else:
        frame = subject.frame.iloc[rows][columns_used(subject)]
    found: list[Alone] = []
    for name in frame.columns:
        x = numbers(pd.Series(frame[name]))
        gain = _gain(x, y, bool(subject.names), folds=5 if frame.shape[1] <= 50 else 2)
        found.append(Alone(str(name), gain, _copy(x, y, subject)))
    return sorted(found, key=lambda one: -one.gain)


def _gain(x: Matrix, y: Matrix, classes: bool, folds: int) -> float:
    """How far a tree on one column gets from guessing (0) to certainty (1) on rows that it was not fitted on."""
    from sklearn.model_selection import KFold
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if len(np.unique(x)) < 2:
        return 0.0
    predicted = np.empty(len(y))
    kind = DecisionTreeClassifier if classes else DecisionTreeRegressor
    for fit, judged in KFold(folds, shuffle=True, random_state=0).split(y):
        tree = kind(min_samples_leaf=3, max_leaf_nodes=256, random_state=0)
        predicted[judged] = tree.fit(x[fit, None], y[fit]).predict(x[judged, None])
    if classes:
        base = np.bincount(y.astype(int)).max() / len(y)
        return float(((predicted == y).mean() - base) / max(1 - base, 1e-9))
    return float(1 - ((predicted - y) ** 2).sum() / max(((y - y.mean()) ** 2).sum(), 1e-30))


def _copy(x: Matrix, y: Matrix, subject: Subject) -> str:
    """Why a column has the form of the target itself; "" where it does not."""
    if not subject.names:
        rho = spearman(x, y) if (~np.isnan(x)).mean() > 0.5 else 0.0
        return f"in the same order as the target (|ρ| = {rho:.4f})" if rho >= SAME_ORDER else ""
    table: NDArray[np.float64] = crossed(x, y)
    if table.shape[0] > 2 * table.shape[1] + 2:
        return ""
    right, base = table.max(1).sum() / table.sum(), table.sum(0).max() / table.sum()
    gain = (right - base) / max(1 - base, 1e-9)
    return f"{table.shape[0]} values that name the class in {right:.1%} of the rows" if gain >= COPY else ""


def _suspects(found: list[Alone], target: str, ids: tuple[str, ...]) -> list[Finding]:
    findings: list[Finding] = []
    for one in found:
        if one.name in ids:
            continue
        if one.copy:
            findings.append(
                Finding(
                    what="a column that copies the target",
                    evidence=f"'{one.name}': {one.copy}",
                    severity="high",
                    columns=(one.name,),
                    suggestion=f"leave it out unless it is known before '{target}': data.drop=[{one.name}]",
                )
            )
        elif one.gain >= NEARLY:
            others = [
                other.gain for other in found if other.name != one.name and not other.copy and other.gain < NEARLY
            ]
            ahead = len(others) >= 3 and one.gain - max(others) >= AHEAD
            findings.append(
                Finding(
                    what="a column that predicts the target almost alone",
                    evidence=f"'{one.name}' alone gains {one.gain:.3f} of 1 over guessing"
                    + (f"; the next column {max(others):.2f}" if others else ""),
                    severity="high" if ahead else "medium",
                    columns=(one.name,),
                    suggestion=f"ask whether it is known before '{target}' is; if not: data.drop=[{one.name}]",
                )
            )
    return findings
