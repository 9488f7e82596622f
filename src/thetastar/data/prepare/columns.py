"""Columns of a table as numbers: fitted on training rows, applied to any rows, kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.reading import INDEX_NAMES, as_numbers, as_words, kind_of

Matrix = NDArray[np.float32]
MOST = 50  # values of a word column that get an entry of their own
RARE = 1000  # a value in fewer than one of so many rows has none: its standardised entry would be an outlier
DISTINCT = 10  # so many words, all different, are names of rows rather than categories


@dataclass(frozen=True)
class Number:
    """x ↦ (x, or `middle` where it is missing; and, with `gaps`, whether it was missing)."""

    name: str
    middle: float
    gaps: bool

    @property
    def entries(self) -> list[str]:
        return [self.name, f"{self.name} missing"] if self.gaps else [self.name]

    def encode(self, column: pd.Series) -> Matrix:
        x = as_numbers(column)
        gap = np.isnan(x)
        filled = np.where(gap, self.middle, x)
        return np.stack([filled, gap][: 1 + self.gaps], 1).astype(np.float32)


@dataclass(frozen=True)
class Words:
    """A word ↦ one-hot over `values`, 'other' (where training had `seldom` ones) and 'unknown' (missing, unseen)."""

    name: str
    values: tuple[str, ...]
    seldom: tuple[str, ...]

    @property
    def entries(self) -> list[str]:
        return [f"{self.name}={value}" for value in (*self.values, *(["other"] if self.seldom else []), "unknown")]

    def encode(self, column: pd.Series) -> Matrix:
        words = as_words(column)
        codes = pd.Index(self.values, dtype="str").get_indexer(pd.Index(words))
        last = len(self.entries) - 1
        codes[codes < 0] = last
        if self.seldom:
            codes[words.isin(self.seldom).to_numpy()] = last - 1
        return np.eye(last + 1, dtype=np.float32)[codes]


Column = Number | Words


def fit(frame: pd.DataFrame, said: list[str]) -> list[Column]:
    """One Number or Words a column of the training rows that varies; what is left out or merged is said."""
    columns: list[Column] = []
    for name, column in frame.items():
        name = str(name)
        fitted = _number(name, column, said) if kind_of(column) == "number" else _words(name, column, said)
        if fitted is not None:
            columns.append(fitted)
    return columns


def _number(name: str, column: pd.Series, said: list[str]) -> Number | None:
    x = as_numbers(column)
    known = x[~np.isnan(x)]
    gaps = len(known) < len(x)
    if len(known) == 0:
        said.append(f"column '{name}' left out: no value in the training rows")
        return None
    if not gaps and np.ptp(known) == 0:
        said.append(f"column '{name}' left out: it is always {known[0]:g} in the training rows")
        return None
    return Number(name, float(np.median(known)), gaps)


def _words(name: str, column: pd.Series, said: list[str]) -> Words | None:
    words = as_words(column)
    counts = words.value_counts()
    if len(counts) == 0:
        said.append(f"column '{name}' left out: no value in the training rows")
        return None
    if len(counts) == 1 and words.notna().all():
        said.append(f"column '{name}' left out: it is always '{counts.index[0]}' in the training rows")
        return None
    if counts.max() == 1 and len(counts) >= DISTINCT:
        said.append(f"column '{name}' left out: a different word in every row")
        return None
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = sorted(str(value) for value, count in ranked[:MOST] if count >= len(words) // RARE)
    seldom = sorted(set(map(str, counts.index)) - set(kept))
    if seldom:
        said.append(f"column '{name}': {len(seldom):,} seldom values of {len(counts):,} are read as 'other'")
    return Words(name, tuple(kept), tuple(seldom))


def encode(frame: pd.DataFrame, columns: Sequence[Column]) -> Matrix:
    """(rows, entries), the columns matched by name."""
    return np.concatenate([column.encode(pd.Series(frame[column.name])) for column in columns], 1)


def counts_rows(column: pd.Series) -> bool:
    """Whether a column is called an index and is one: 0, 1, 2, … or 1, 2, 3, …"""
    if str(column.name).strip().lower() not in INDEX_NAMES or column.dtype.kind not in "iu":
        return False
    return bool(column.iloc[0] in (0, 1) and (np.diff(column.to_numpy()) == 1).all())


def to_json(columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [asdict(column) for column in columns]


def from_json(entries: Sequence[Mapping[str, Any]]) -> list[Column]:
    return [
        Number(**entry) if "middle" in entry else Words(entry["name"], tuple(entry["values"]), tuple(entry["seldom"]))
        for entry in entries
    ]
