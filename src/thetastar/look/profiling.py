"""Every column by itself: what it holds, what is missing, how it is spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from thetastar.data.prepare.reading import as_floats, as_numbers, as_words, kind_of
from thetastar.errors import UserError
from thetastar.look.findings import Finding, Histogram, Section, few
from thetastar.look.subject import Subject

BINS = 16
SHOWN = 500  # columns in the table
MANY_GAPS = 0.5
HEADS = ("column", "kind", "missing", "distinct", "lowest or commonest", "median", "highest", "spread")


def profile(subject: Subject) -> Section:
    """One row a column; the target's too, from the rows whose labels may be seen."""
    if subject.images is not None:
        return _of_images(subject)
    findings: list[Finding] = []
    rows = [_row(str(name), column, findings) for name, column in subject.frame.items()]
    looked = f"inputs of all {subject.count:,} rows"
    if subject.labels is not None:
        rows.append(_target_row(subject))
        looked += f"; the target in {len(subject.labelled):,} rows of train and valid"
    said = [f"{subject.count:,} rows, {subject.frame.shape[1]:,} columns beside the target"]
    if len(rows) > SHOWN:
        said.append(f"the first {SHOWN} columns of {len(rows):,} are shown")
    return Section(
        name="Columns",
        looked_at=looked,
        findings=tuple(_merged(findings)),
        said=tuple(said),
        heads=HEADS,
        rows=tuple(rows[:SHOWN]),
    )


def _row(name: str, column: pd.Series, findings: list[Finding]) -> tuple[Any, ...]:
    """A column's line of the table, and what is odd about it."""
    try:
        kind = kind_of(column)
    except UserError as error:
        findings.append(
            Finding(what="columns that cannot be read", evidence=error.got, severity="medium", columns=(name,))
        )
        return (name, "other", None, None, None, None, None, None)
    if kind == "number":
        line = number_row(name, as_numbers(column), "date" if column.dtype.kind in "mM" else "number")
    else:
        line = words_row(name, as_words(column), "truth value" if column.dtype.kind == "b" else "words")
        _mixture(name, as_words(column), findings)
    missing, distinct = line[2], line[3]
    if distinct == 0:
        findings.append(_odd("empty columns", "no value at all", name, "leave them out: data.drop=[…]"))
    elif missing > MANY_GAPS:
        text = f"missing in {missing:.0%} of the rows"
        findings.append(
            _odd("columns that are mostly missing", text, name, "ask why; missing may itself say something")
        )
    elif distinct == 1 and not missing:
        findings.append(
            _odd(
                "constant columns",
                f"always {line[4]:g}" if kind == "number" else f"always {column.iloc[0]}",
                name,
                "leave them out: data.drop=[…]",
            )
        )
    return line


def _odd(what: str, evidence: str, name: str, suggestion: str) -> Finding:
    return Finding(what=what, evidence=evidence, severity="low", columns=(name,), suggestion=suggestion)


def _merged(findings: list[Finding]) -> list[Finding]:
    """One finding for all columns that show the same."""
    merged: list[Finding] = []
    for what in dict.fromkeys(finding.what for finding in findings):
        same = [finding for finding in findings if finding.what == what]
        columns = tuple(name for finding in same for name in finding.columns)
        evidence = few([f"'{finding.columns[0]}' {finding.evidence}" for finding in same])
        merged.append(
            Finding(
                what=what, evidence=evidence, severity=same[0].severity, columns=columns, suggestion=same[0].suggestion
            )
        )
    return merged


def number_row(name: str, x: Any, kind: str) -> tuple[Any, ...]:
    known = x[~np.isnan(x)]
    missing = 1 - len(known) / len(x)
    if len(known) == 0:
        return (name, kind, missing, 0, None, None, None, None)
    counts, _ = np.histogram(known, bins=BINS) if np.ptp(known) else (np.array([len(known)]), None)
    low, middle, high = float(known.min()), float(np.median(known)), float(known.max())
    shown = [_day(value) if kind == "date" else value for value in (low, middle, high)]
    return (name, kind, missing, len(np.unique(known)), *shown, Histogram(tuple(int(count) for count in counts)))


def _day(value: float) -> str:
    return (pd.Timestamp(0) + pd.Timedelta(days=value)).isoformat(" ", "minutes").removesuffix(" 00:00")


def words_row(name: str, words: pd.Series, kind: str) -> tuple[Any, ...]:
    counts = words.value_counts()
    missing = float(words.isna().mean())
    if len(counts) == 0:
        return (name, kind, missing, 0, None, None, None, None)
    top = ", ".join(f"{_short(str(word))} {count / len(words):.0%}" for word, count in counts.iloc[:3].items())
    return (name, kind, missing, len(counts), top, None, None, Histogram(tuple(int(c) for c in counts.iloc[:BINS])))


def _short(word: str) -> str:
    return word if len(word) <= 24 else word[:23] + "…"


def _mixture(name: str, words: pd.Series, findings: list[Finding]) -> None:
    """Words among numbers are slips of the pen or ways of saying that a value is missing."""
    known = words.dropna()
    if len(known) == 0:
        return
    slips = known[np.isnan(as_floats(known.to_numpy(object)))]
    if 0 < len(slips) < len(known) / 2:
        findings.append(
            Finding(
                what="numbers with words among them",
                evidence=f"holds {few([repr(word) for word in dict.fromkeys(slips)], 3)} among numbers",
                severity="medium",
                columns=(name,),
                suggestion="mend those values, or leave them blank",
            )
        )


def _target_row(subject: Subject) -> tuple[Any, ...]:
    assert subject.labels is not None
    seen = subject.labels[subject.labelled]
    if subject.names:
        words = pd.Series([subject.names[code] for code in seen], dtype="str")
        return words_row(f"{subject.target} (target)", words, "classes")
    return number_row(f"{subject.target} (target)", seen.astype(float), "number")


def _of_images(subject: Subject) -> Section:
    assert subject.images is not None
    channels, height, width = subject.images.shape[1:]
    colour = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    return Section(
        name="Images",
        looked_at=f"all {subject.count:,} images, as they are trained on",
        said=(f"{subject.count:,} images of {width}×{height} pixels, {colour}",),
    )
