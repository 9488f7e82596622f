"""Dates as numbers: the parts of the calendar, and the days that have passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.reading import as_words
from thetastar.data.prepare.recognising import ambiguous, date_form, dates
from thetastar.errors import UserError

Part = Literal["year", "month", "day", "weekday", "hour", "elapsed days"]
PARTS = ("year", "month", "day", "weekday", "hour", "elapsed days")
LASTING = ("year", "elapsed days")  # only ever grow: of no use where the held-out rows are the later ones
DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Date:
    """A date ↦ those of year, month, day, weekday (Monday 0), hour and days since `start` that vary in training.

    Missing ones take the medians `middles`; with `gaps` an entry says so.
    """

    name: str
    form: str
    start: float
    parts: tuple[str, ...]
    middles: tuple[float, ...]
    gaps: bool

    @property
    def entries(self) -> list[str]:
        return [*(f"{self.name} {part}" for part in self.parts), *([f"{self.name} missing"] if self.gaps else [])]

    def encode(self, column: pd.Series, strict: bool) -> NDArray[np.float32]:
        when = moments(column, self.form)
        wrong = column.to_numpy(object)[when.isna().to_numpy() & column.notna().to_numpy()]
        if strict and len(wrong):
            raise UserError(f"column '{self.name}' holds '{wrong[0]}'", "dates as in training", "mend that value")
        values = _parts(when, self.start)[:, [PARTS.index(part) for part in self.parts]]
        gap = when.isna().to_numpy()
        values[gap] = self.middles
        return np.concatenate([values, gap[:, None]][: 1 + self.gaps], 1).astype(np.float32)


def moments(column: pd.Series, form: str) -> pd.Series:
    """Of a column of dates or of words; a date given as an object is read whatever the form."""
    if column.dtype.kind == "M":
        return pd.to_datetime(column, utc=True)
    words = as_words(column)
    found = dates(words, form)
    return found if form == "ISO8601" else found.fillna(dates(words.mask(found.notna()), "ISO8601"))


def days(when: pd.Series) -> NDArray[np.float64]:
    """Since 1970; NaN where missing."""
    return ((when - pd.Timestamp(0, tz="UTC")) / DAY).to_numpy(np.float64, na_value=np.nan)


def _parts(when: pd.Series, start: float) -> NDArray[np.float64]:
    calendar = when.dt
    hour = calendar.hour + calendar.minute / 60
    columns = [calendar.year, calendar.month, calendar.day, calendar.day_of_week, hour, days(when) - start]
    return np.stack([np.asarray(values, dtype=np.float64) for values in columns], 1)


def fit_date(
    name: str, column: pd.Series, later: bool, said: list[str], asked: tuple[Part, ...] | None = None
) -> Date | None:
    """A column of training rows as dates; None where it holds none. `later`: the held-out rows come after them.

    Only the parts `asked` for, where they vary; the others are not read.

    Returns:
        A Date without parts where no part of it varies.
    """
    form = "ISO8601" if column.dtype.kind == "M" else date_form(as_words(column))
    if form is None:
        return None
    when = moments(column, form)
    known = when.dropna()
    start = float(np.floor(days(known).min())) if len(known) else 0.0
    values = _parts(known, start)
    kept = [i for i, part in enumerate(PARTS) if len(known) and np.ptp(values[:, i]) > 0]
    kept = [i for i in kept if not (later and PARTS[i] in LASTING)]
    kept = [i for i in kept if asked is None or PARTS[i] in asked]
    parts = tuple(PARTS[i] for i in kept)
    middles = tuple(float(np.median(values[:, i])) for i in kept)
    gaps = bool(when.isna().any())
    if parts:
        unsure = " (month first; day first would fit too)" if ambiguous(as_words(column), form) else ""
        said.append(f"column '{name}' holds dates{unsure}: read as {', '.join(parts)}")
    else:
        what = "part" if asked is None else "part asked for"
        said.append(f"column '{name}' left out: no {what} of its dates varies in the training rows")
    return Date(name, form, start, parts, middles, gaps and bool(parts))
