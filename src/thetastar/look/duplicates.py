"""Rows and images that occur more than once, within a split and across splits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.util import hash_pandas_object

from thetastar.data.prepare.reading import as_numbers, as_words, kind_of
from thetastar.look.findings import Finding, Section, few, listed
from thetastar.look.identifiers import identifiers
from thetastar.look.near_images import near_images
from thetastar.look.subject import SPLITS, Subject

SHARE = 0.01  # of a held-out split: with more copies than that its score is not one on new rows
CHANCE = 20  # times what independent columns would give by coincidence; below, copies prove nothing
DIGITS = 3  # significant ones in which nearly equal rows agree


def duplicates(subject: Subject) -> Section:
    """Exact copies by a hash of the inputs after reading, near ones by rounding or, of images, perceptual hash."""
    without = tuple(identifiers(subject))
    inputs = subject.frame.drop(columns=list(without))
    exact, expected = (_bytes(subject), 0.0) if subject.images is not None else (_hashes(_read(inputs)), chance(inputs))
    findings = [*_across(subject, exact, expected), *_within(subject, exact, expected)]
    findings += _contradictions(subject, exact)
    said = ["identifiers left aside: " + ", ".join(without)] if without else []
    if subject.images is not None:
        near = near_images(subject)
        findings += near.findings
        said.append(near.said)
        picture, pairs = near.picture, near.pairs
    else:
        if subject.frame.shape[1] > len(without):
            findings += _near_rows(subject, exact, without)
        picture, pairs = None, []
    if not findings:
        said.insert(0, "no duplicates found")
    return Section(
        name="Duplicates",
        looked_at=f"inputs of all {subject.count:,} rows, test among them; labels of train and valid only",
        findings=tuple(findings),
        said=tuple(said),
        picture=picture,
        alt="Pairs of nearly equal images",
        values={"near_pairs": pairs} if subject.images is not None else {},
    )


def _read(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as training takes them (32 bits), words without blanks around them."""
    columns = {}
    for number in range(frame.shape[1]):
        column = frame.iloc[:, number]
        columns[number] = (
            as_numbers(column).astype(np.float32) + 0.0 if kind_of(column) == "number" else as_words(column)
        )
    return pd.DataFrame(columns, index=frame.index)


def _hashes(frame: pd.DataFrame) -> NDArray[np.uint64]:
    if not frame.shape[1]:
        return np.arange(len(frame), dtype=np.uint64)
    return hash_pandas_object(frame, index=False).to_numpy(np.uint64)  # type: ignore[operator]


def _bytes(subject: Subject) -> NDArray[np.uint64]:
    """A number an image that is equal exactly where the pixels are."""
    assert subject.images is not None
    found = [hash(subject.images[row].contiguous().numpy().tobytes()) for row in range(subject.count)]
    return np.array(found, np.int64).view(np.uint64)


def chance(frame: pd.DataFrame) -> float:
    """How probable it is that two rows are equal by chance, were the columns independent: Πⱼ Σᵥ pⱼ(v)²."""
    found = 1.0
    for number in range(frame.shape[1]):
        column = frame.iloc[:, number]
        values = as_numbers(column) if kind_of(column) == "number" else as_words(column)
        shares = pd.Series(values).value_counts(normalize=True, dropna=False).to_numpy()
        found *= float((shares**2).sum())
    return found


def _across(subject: Subject, keys: NDArray[np.uint64], expected: float, near: str = "") -> list[Finding]:
    """Held-out rows whose inputs also occur in an earlier split."""
    findings: list[Finding] = []
    for place, held in enumerate(SPLITS[1:], 1):
        rows = subject.splits[held]
        for before in SPLITS[:place]:
            other = subject.splits[before]
            copies = rows[np.isin(keys[rows], keys[other])]
            if not len(copies) or before == "valid":  # what valid and test share does not make training know it
                continue
            likely = expected * len(rows) * len(other)
            share = len(copies) / len(rows)
            low = len(copies) <= CHANCE * likely
            if low and near:
                continue
            why = "; so many columns with few values make this likely by chance" if low else ""
            findings.append(
                Finding(
                    what=f"{held} rows that are {near or 'exact'} copies of {before} rows",
                    evidence=f"{len(copies):,} of {len(rows):,} ({share:.1%}), such as row {few(copies, 3)}{why}",
                    severity="low" if low else "high" if share >= SHARE and not near else "medium",
                    rows=listed(copies),
                    suggestion="remove them from one side, or split by group: the score is on rows already seen",
                )
            )
    return findings


def _within(subject: Subject, keys: NDArray[np.uint64], expected: float) -> list[Finding]:
    """Copies inside a split."""
    found: list[str] = []
    rows: list[int] = []
    likely = True
    for name in SPLITS:
        part = subject.splits[name]
        again = part[pd.Series(keys[part]).duplicated().to_numpy()]
        if len(again):
            found.append(f"{len(again):,} of {len(part):,} in {name}")
            rows += again.tolist()
            likely = likely and len(again) <= CHANCE * expected * len(part) ** 2 / 2
    if not found:
        return []
    return [
        Finding(
            what="rows that repeat another row of their split exactly",
            evidence="; ".join(found) + ("; likely by chance, the columns have few values" if likely else ""),
            severity="low",
            rows=listed(sorted(rows)),
            suggestion="look whether they are copies or coincidences; copies weigh twice",
        )
    ]


def _contradictions(subject: Subject, keys: NDArray[np.uint64]) -> list[Finding]:
    """Equal inputs with different classes: nothing can learn both."""
    if subject.labels is None or not subject.names:
        return []
    frame = pd.DataFrame({"key": keys[subject.labelled], "label": subject.labels[subject.labelled]})
    many = frame.groupby("key")["label"].transform("nunique").to_numpy() > 1
    if not many.any():
        return []
    rows = subject.labelled[many]
    return [
        Finding(
            what="equal inputs with different labels",
            evidence=f"{len(rows):,} of {len(subject.labelled):,} rows of train and valid, such as row {few(rows, 3)}",
            severity="medium" if len(rows) >= SHARE * len(subject.labelled) else "low",
            rows=listed(rows),
            suggestion="no learner can be right on all of them: mend labels or add what tells them apart",
        )
    ]


def _near_rows(subject: Subject, exact: NDArray[np.uint64], without: Sequence[str]) -> list[Finding]:
    """Rows that agree in every word, letter case aside, and in the first digits of every number, but are not equal."""
    frame = _read(subject.frame.drop(columns=list(without)))
    rounded = pd.DataFrame(
        {
            name: significant(column.to_numpy(np.float64)) if column.dtype.kind == "f" else column.str.casefold()
            for name, column in frame.items()
        }
    )
    keys = _hashes(rounded)
    unequal = keys.copy()
    for name in SPLITS[1:]:  # a row that is an exact copy has been named already
        rows = subject.splits[name]
        copied = rows[np.isin(exact[rows], exact[subject.splits["train"]])]
        unequal[copied] = np.arange(len(copied), dtype=np.uint64)
    return _across(subject, unequal, chance(rounded), near=f"near (to {DIGITS} digits)")


def significant(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded to `DIGITS` significant digits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        power = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.abs(x))))
        rounded = np.round(x * power) / power
    return np.where(x == 0, 0.0, rounded)
