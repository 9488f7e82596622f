"""Columns of a table as numbers: fitted on training rows, applied to any rows, kept as JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.crosses import Pair, Product, fit_crosses
from thetastar.data.prepare.dates import Date, Part, fit_date
from thetastar.data.prepare.numeric import Impute, Number, Scale, fit_number
from thetastar.data.prepare.reading import INDEX_NAMES, as_words, kind_of
from thetastar.data.prepare.recognising import number_style
from thetastar.data.prepare.texts import Text, Weights, fit_text, is_text
from thetastar.data.prepare.words import Categories, Ranks, Words, fit_words
from thetastar.errors import UserError, nearest

Matrix = NDArray[np.float32]
LARGEST = 2**30  # numbers of a prepared table; more would not fit into most memories
LINES = 20  # said of columns one by one
Column = Number | Words | Ranks | Date | Text | Product | Pair


@dataclass(frozen=True)
class Wishes:
    """How columns are to be read where they do not decide it themselves; see the arguments of `table`."""

    categories: Categories = "auto"
    orders: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    impute: Impute = "median"
    scale: Scale = "standard"
    dates: tuple[Part, ...] | None = None
    text: Weights = "tfidf"
    crosses: tuple[str, ...] = ()


def fit(
    frame: pd.DataFrame,
    said: list[str],
    wishes: Wishes | None = None,
    *,
    categories: Collection[str] = (),
    time: str | None = None,
) -> list[Column]:
    """What each column of the training rows is read as; what is left out or merged is said.

    Args:
        frame: the training rows: words, numbers and dates.
        said: gets the decisions.
        wishes: of the user.
        categories: columns that are words, whatever they look like.
        time: the column by which rows were split; later rows have later times.
    """
    wishes = wishes or Wishes()
    for name in wishes.orders:
        if name not in frame.columns:
            raise UserError(f"data.orders: no column '{name}'", "columns of words", nearest(name, frame.columns))
    columns: list[Column] = []
    lines: list[str] = []
    for key, column in frame.items():
        name = str(key)
        fitted = _fit(name, column, name in categories or name in wishes.orders, name == time, wishes, lines)
        if fitted is not None and fitted.entries:
            columns.append(fitted)
    said.extend(lines[:LINES])
    if len(lines) > LINES:
        names = [line.split("'")[1] for line in lines[LINES:]]
        shown = ", ".join(names[:LINES]) + (" …" if len(names) > LINES else "")
        said.append(f"{len(names):,} more columns left out, merged, ranked or read as dates or texts: {shown}")
    return [*columns, *fit_crosses(wishes.crosses, frame, {column.name: column for column in columns}, said)]


def _fit(
    name: str, column: pd.Series, category: bool, later: bool, wishes: Wishes, said: list[str]
) -> Number | Words | Ranks | Date | Text | None:
    """Numbers and dates as they are; words may be numbers, dates or texts, else they are categories."""
    if column.dtype.kind == "M":
        return fit_date(name, column, later, said, wishes.dates)
    if kind_of(column) == "number" and not category:
        return fit_number(name, column, "", wishes.impute, wishes.scale, said)
    words = as_words(column)
    if not category and words.notna().any():
        style = number_style(words)
        if style is not None:
            return fit_number(name, words, style, wishes.impute, wishes.scale, said)
        date = fit_date(name, words, later, said, wishes.dates)
        if date is not None:
            return date
        if is_text(words):
            return fit_text(name, words, wishes.text, said)
    return fit_words(name, words, wishes.categories, wishes.orders.get(name), said)


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
        crossed = isinstance(column, Product | Pair)
        x[:, end - width : end] = column.encode(frame if crossed else pd.Series(frame[column.name]), strict)  # type: ignore[arg-type]
    return x


def sources(columns: Sequence[Column]) -> list[str]:
    """The columns of the table that are read, each once; crosses read what is there already."""
    return [column.name for column in columns if not isinstance(column, Product | Pair)]


def plain(columns: Sequence[Column]) -> set[str]:
    """The columns of numbers without marks; in others what a file writes counts as it stands: 007 is no 7."""
    return {column.name for column in columns if isinstance(column, Number) and not column.style}


def summary(columns: Sequence[Column]) -> str:
    """How many columns become how many numbers, and in which ways."""
    ways = {
        "of numbers": [one for one in columns if isinstance(one, Number) and not one.levels],
        "of numbers by their quantiles": [one for one in columns if isinstance(one, Number) and one.levels],
        "of words one-hot": [one for one in columns if isinstance(one, Words) and not one.embed],
        "of words one-hot, for learnt vectors": [one for one in columns if isinstance(one, Words) and one.embed],
        "of words by rank": [one for one in columns if isinstance(one, Ranks)],
        "of dates": [one for one in columns if isinstance(one, Date)],
        "of texts": [one for one in columns if isinstance(one, Text)],
        "crossed": [one for one in columns if isinstance(one, Product | Pair)],
    }
    count, entries = len(sources(columns)), sum(len(one.entries) for one in columns)
    parts = ", ".join(f"{len(found):,} {way}" for way, found in ways.items() if found)
    return f"{count:,} column{'s become' if count > 1 else ' becomes'} {entries:,} numbers: {parts}"


def blocks(columns: Sequence[Column]) -> tuple[tuple[int, int], ...]:
    """(first entry, number of entries) of each column whose words become learnt vectors."""
    ends = np.cumsum([len(column.entries) for column in columns]).tolist()
    places = [(end - len(column.entries), column) for end, column in zip(ends, columns, strict=True)]
    return tuple((start, len(one.entries)) for start, one in places if isinstance(one, Words) and one.embed)


def counts_rows(column: pd.Series) -> bool:
    """Whether a column is called an index and is one: 0, 1, 2, … or 1, 2, 3, …"""
    if str(column.name).strip().lower() not in INDEX_NAMES or column.dtype.kind not in "iu":
        return False
    return bool(column.iloc[0] in (0, 1) and (np.diff(column.to_numpy()) == 1).all())


def to_json(columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [asdict(column) for column in columns]


def from_json(entries: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The inverse: every kind of column has a field that no other has."""
    kinds = {
        "middle": Number,
        "values": Words,
        "form": Date,
        "vocabulary": Text,
        "order": Ranks,
        "moments": Product,
        "sides": Pair,
    }
    columns: list[Any] = []
    for entry in entries:
        kind = next(kind for key, kind in reversed(kinds.items()) if key in entry)
        columns.append(kind(**{key: _read(value) for key, value in entry.items()}))
    return columns


def _read(value: Any) -> Any:
    if isinstance(value, Mapping):
        return from_json([value])[0]
    return tuple(value) if isinstance(value, list) else value
