"""Columns of a table as numbers: fitted on training rows, applied to any rows, kept as JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.dates import Date, fit_date
from thetastar.data.prepare.reading import INDEX_NAMES, as_numbers, as_words, kind_of
from thetastar.data.prepare.recognising import number_style, numbers
from thetastar.data.prepare.texts import Text, Weights, fit_text, is_text
from thetastar.errors import UserError

Matrix = NDArray[np.float32]
MOST = 50  # values of a word column that get an entry of their own
RARE = 1000  # a value in fewer than one of so many rows has none: its standardised entry would be an outlier
DISTINCT = 10  # so many words, all different, are names of rows rather than categories
LARGEST = 2**30  # numbers of a prepared table; more would not fit into most memories
LINES = 20  # said of columns one by one


@dataclass(frozen=True)
class Number:
    """x ↦ (x, or `middle` where it is missing; and, with `gaps`, whether it was missing).

    `style` is the mark of thousands; with `loose`, words among the numbers count as missing, as they did in training.
    """

    name: str
    middle: float
    gaps: bool
    style: str = ""
    loose: bool = False

    @property
    def entries(self) -> list[str]:
        return [self.name, f"{self.name} missing"] if self.gaps else [self.name]

    def encode(self, column: pd.Series, strict: bool) -> Matrix:
        x, wrong = _values(column, self.style)
        if strict and not self.loose and len(wrong):
            raise UserError(f"column '{self.name}' holds '{wrong.iloc[0]}'", "numbers", "mend that value")
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

    def encode(self, column: pd.Series, strict: bool) -> Matrix:
        words = as_words(column)
        codes = pd.Index(self.values, dtype="str").get_indexer(pd.Index(words))
        last = len(self.entries) - 1
        codes[codes < 0] = last
        if self.seldom:
            codes[words.isin(self.seldom).to_numpy()] = last - 1
        return np.eye(last + 1, dtype=np.float32)[codes]


Column = Number | Words | Date | Text


def _values(column: pd.Series, style: str) -> tuple[NDArray[np.float64], pd.Series]:
    """A column as numbers, NaN where there is none; and the words that are no numbers."""
    if kind_of(column) == "number":
        return as_numbers(column), column.iloc[:0]
    words = as_words(column)
    x = numbers(words, style)
    return x, pd.Series(words[np.isnan(x) & words.notna().to_numpy()])


def fit(
    frame: pd.DataFrame,
    said: list[str],
    *,
    categories: Collection[str] = (),
    time: str | None = None,
    weights: Weights = "tfidf",
) -> list[Column]:
    """What each column of the training rows is read as; what is left out or merged is said.

    Args:
        frame: the training rows: words, numbers and dates.
        said: gets the decisions.
        categories: columns that are words, whatever they look like.
        time: the column by which rows were split; later rows have later times.
        weights: of the words of texts.
    """
    columns: list[Column] = []
    lines: list[str] = []
    for key, column in frame.items():
        name = str(key)
        fitted: Column | None
        if column.dtype.kind == "M":
            fitted = fit_date(name, column, name == time, lines)
        elif kind_of(column) == "number":
            fitted = _number(name, column, "", lines)
        else:
            fitted = _recognised(name, column, name in categories, name == time, weights, lines)
        if fitted is not None and fitted.entries:
            columns.append(fitted)
    said.extend(lines[:LINES])
    if len(lines) > LINES:
        names = [line.split("'")[1] for line in lines[LINES:]]
        said.append(f"{len(names):,} more columns left out, merged or read as dates or texts: {', '.join(names)}")
    return columns


def _recognised(
    name: str, column: pd.Series, category: bool, later: bool, weights: Weights, said: list[str]
) -> Column | None:
    """Words that are numbers, dates or texts; else categories."""
    words = as_words(column)
    if category or words.isna().all():
        return _words(name, words, said)
    style = number_style(words)
    if style is not None:
        return _number(name, words, style, said)
    date = fit_date(name, words, later, said)
    if date is not None:
        return date
    return fit_text(name, words, weights, said) if is_text(words) else _words(name, words, said)


def _number(name: str, column: pd.Series, style: str, said: list[str]) -> Number | None:
    x, wrong = _values(column, style)
    known = x[~np.isnan(x)]
    gaps = len(known) < len(x)
    if len(known) == 0:
        said.append(f"column '{name}' left out: no value in the training rows")
        return None
    if not gaps and np.ptp(known) == 0:
        said.append(f"column '{name}' left out: it is always {known[0]:g} in the training rows")
        return None
    if style:
        marks = "a decimal comma" if style == "." else f"{style!r} between thousands"
        said.append(f"column '{name}' holds numbers with {marks}")
    if len(wrong):
        some = ", ".join(f"'{word}'" for word in wrong.unique()[:3])
        said.append(f"column '{name}': {len(wrong):,} of {len(x):,} values are no numbers ({some}): read as missing")
    return Number(name, float(np.median(known)), gaps, style, len(wrong) > 0)


def _words(name: str, words: pd.Series, said: list[str]) -> Words | None:
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


def encode(frame: pd.DataFrame, columns: Sequence[Column], strict: bool = True) -> Matrix:
    """(rows, entries), the columns matched by name. `strict`: a value that cannot be read is refused, else missing."""
    widths = [len(column.entries) for column in columns]
    if len(frame) * sum(widths) > LARGEST:
        widest = columns[int(np.argmax(widths))]
        raise UserError(
            f"{len(frame):,} rows of {sum(widths):,} numbers each need {len(frame) * sum(widths) / 2**28:.0f} GiB",
            f"at most {LARGEST / 2**28:.0f} GiB",
            f"leave columns out, such as data.drop=[{widest.name}]",
        )
    x = np.empty((len(frame), sum(widths)), np.float32)
    for column, width, end in zip(columns, widths, np.cumsum(widths), strict=True):
        x[:, end - width : end] = column.encode(pd.Series(frame[column.name]), strict)
    return x


def counts_rows(column: pd.Series) -> bool:
    """Whether a column is called an index and is one: 0, 1, 2, … or 1, 2, 3, …"""
    if str(column.name).strip().lower() not in INDEX_NAMES or column.dtype.kind not in "iu":
        return False
    return bool(column.iloc[0] in (0, 1) and (np.diff(column.to_numpy()) == 1).all())


def to_json(columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [asdict(column) for column in columns]


def from_json(entries: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The inverse: every kind of column has a field that no other has."""
    kinds = {"middle": Number, "values": Words, "form": Date, "vocabulary": Text}
    columns: list[Column] = []
    for entry in entries:
        kind = next(kind for field, kind in kinds.items() if field in entry)
        columns.append(
            kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})
        )
    return columns
