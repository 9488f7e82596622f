"""How columns go together, and with the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from thetastar.data.prepare.reading import kind_of
from thetastar.look.encoding import Matrix, columns_used, numbers, said_of_width
from thetastar.look.findings import Finding, Section, few
from thetastar.look.subject import SAMPLE, Subject

TWINS = 0.98  # |Spearman| from which two columns say the same
SHOWN = 15
TENTHS = 10


def correlations(subject: Subject) -> Section | None:
    """Pearson's r and Spearman's ρ of pairs of numbers; each column's association with the target.

    With classes, and between words and a number, it is Cramér's V without its bias (numbers in tenths); between
    numbers, |ρ|.

    Source: Bergsma 2013, A bias-correction for Cramér's V and Tschuprow's T.
    """
    if subject.images is not None or not len(subject.frame.columns):
        return None
    rows = subject.sample(np.arange(subject.count), "correlations")
    names = columns_used(subject)
    numeric = [name for name in names if kind_of(pd.Series(subject.frame[name])) == "number"]
    part = subject.frame.iloc[rows]
    values = np.stack([numbers(pd.Series(part[name])) for name in numeric], 1) if numeric else np.empty((len(rows), 0))
    pairs = strongest(values, numeric)
    twins = [pair for pair in pairs if abs(pair[3]) >= TWINS]
    findings = []
    if twins:
        columns = tuple(dict.fromkeys(name for first, second, _, _ in twins for name in (first, second)))
        shown = few([f"'{first}' and '{second}' (ρ = {rho:.3f})" for first, second, _, rho in twins])
        findings.append(
            Finding(
                what="columns that say the same",
                evidence=shown,
                severity="low",
                columns=columns,
                suggestion="one of them is enough; weights and importances are shared among them",
            )
        )
    looked = f"inputs of {len(rows):,} rows of all splits"
    said = list(said_of_width(subject))
    values_found: dict[str, object] = {"pairs": [list(pair) for pair in pairs[:SHOWN]]}
    if subject.labels is not None:
        found = with_target(subject, names)
        kind = "Cramér's V" if subject.names else "|ρ|, Cramér's V for words"
        looked += f"; labels of {min(len(subject.labelled), SAMPLE):,} rows of train and valid"
        said.append(f"With '{subject.target}' ({kind}): " + few([f"'{name}' {v:.2f}" for name, v in found], 8))
        values_found["with_target"] = dict(found)
    if len(numeric) > 1:
        said.append("Pairs of numbers, the strongest first:")
    return Section(
        name="Correlations",
        looked_at=looked,
        findings=tuple(findings),
        said=tuple(said),
        heads=("column", "and", "Pearson r", "Spearman ρ") if pairs else (),
        rows=tuple(pairs[:SHOWN]),
        values=values_found,
    )


def strongest(values: Matrix, names: Sequence[str]) -> list[tuple[str, str, float, float]]:
    """Pairs by |ρ|, each over the rows where both are known."""
    if values.shape[1] < 2:
        return []
    frame = pd.DataFrame(values)
    pearson = frame.corr(min_periods=10).to_numpy()
    spearman = frame.rank().corr(min_periods=10).to_numpy()
    first, second = np.triu_indices(values.shape[1], 1)
    strength = np.abs(spearman[first, second])
    order = np.argsort(-np.nan_to_num(strength, nan=-1.0), kind="stable")
    order = order[~np.isnan(strength[order])]
    return [
        (str(names[int(i)]), str(names[int(j)]), float(pearson[i, j]), float(spearman[i, j]))
        for i, j in zip(first[order], second[order], strict=True)
    ]


def with_target(subject: Subject, names: Sequence[str]) -> list[tuple[str, float]]:
    """Association of each column with the target, the strongest first."""
    assert subject.labels is not None
    rows = subject.sample(subject.labelled, "target")
    labels = subject.labels[rows].astype(float)
    found: list[tuple[str, float]] = []
    for name in names:
        column = pd.Series(subject.frame[name]).iloc[rows]
        x = numbers(column)
        words = kind_of(column) != "number"
        if not words and not subject.names:
            value = spearman(x, labels)
        else:
            value = cramer(x if words else tenths(x), labels if subject.names else tenths(labels))
        found.append((name, value))
    return sorted(found, key=lambda item: -item[1])


def spearman(x: Matrix, y: Matrix) -> float:
    """|ρ| over the rows where both are known; 0 where there is nothing to say."""
    known = ~np.isnan(x) & ~np.isnan(y)
    if known.sum() < 10 or np.ptp(x[known]) == 0 or np.ptp(y[known]) == 0:
        return 0.0
    return float(abs(np.corrcoef(rankdata(x[known]), rankdata(y[known]))[0, 1]))


def tenths(x: Matrix) -> Matrix:
    """Ten groups of about equal size; missing stays missing."""
    known = x[~np.isnan(x)]
    if len(known) == 0:
        return x
    edges = np.unique(np.quantile(known, np.linspace(0, 1, TENTHS + 1)[1:-1]))
    return np.where(np.isnan(x), np.nan, np.searchsorted(edges, x, "right"))


def cramer(x: Matrix, y: Matrix) -> float:
    """V = √(φ̃² / (min(k̃, r̃) − 1)) with φ̃² = max(0, χ²/n − (k−1)(r−1)/(n−1)); missing is a value of its own."""
    table = crossed(x, y)
    n, (k, r) = table.sum(), table.shape
    if n < 2 or min(k, r) < 2:
        return 0.0
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi = max(0.0, ((table - expected) ** 2 / expected).sum() / n - (k - 1) * (r - 1) / (n - 1))
    rows, across = k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1)
    return float(np.sqrt(phi / (min(rows, across) - 1))) if min(rows, across) > 1 else 0.0


def crossed(x: Matrix, y: Matrix) -> NDArray[np.float64]:
    """Counts of every pair of values."""
    first, i = np.unique(np.where(np.isnan(x), -np.inf, x), return_inverse=True)
    second, j = np.unique(np.where(np.isnan(y), -np.inf, y), return_inverse=True)
    flat = np.bincount(i * len(second) + j, minlength=len(first) * len(second))
    return flat.reshape(len(first), len(second)).astype(float)
