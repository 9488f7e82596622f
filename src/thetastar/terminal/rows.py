"""What a user asks a star about, part by part: rows of a table or numbers, in files or from the input stream."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thetastar.data.prepare.chunks import Table
from thetastar.data.prepare.columns import plain, sources
from thetastar.data.prepare.matching import match_names, shown
from thetastar.errors import UserError, nearest
from thetastar.protocols import Field
from thetastar.star import Star
from thetastar.terminal.unfamiliar import Unfamiliar

CELLS = 2**22  # values that are read together


@dataclass(frozen=True)
class Part:
    """Consecutive rows as the star takes them, the columns to be written beside their answers; images' own sizes."""

    raw: Any
    beside: pd.DataFrame
    sizes: Sequence[tuple[int, int]] = ()


class Rows(ABC):
    """Of a file or stream.

    Attributes:
        said: one line per decision, before the first part is read.
        total: of `done` at the end; None where it is not known.
    """

    said: list[str]
    total: int | None = None

    @property
    @abstractmethod
    def done(self) -> int:
        """How far reading has come, in the units of `total`."""

    @abstractmethod
    def parts(self) -> Iterator[Part]:
        """At least one, if of no rows; all but the last of as many rows, so that memory is bounded."""

    def located(self, raw: Any, error: UserError) -> UserError:
        """The error with the place of what cannot be read."""
        return error

    def afterwards(self) -> list[str]:
        """What is to be said when all are read."""
        return []


class TableRows(Rows):
    """Rows whose columns have the names of the training columns, in any order.

    Args:
        folder: where the images are that rows name.
    """

    def __init__(self, table: Table, star: Star, keep: Sequence[str], folder: Path) -> None:
        source: Any = star.source
        self.table, self.star, self.keep, self.folder = table, star, _kept(table, keep), folder
        self.used = sources(source.columns)
        targets = targets_of(source)
        match_names(table.names, self.used, targets, table.title)
        self.total = table.total
        self.said = [*table.said, *_unused(table.names, self.used, targets, self.keep)]
        numbers = plain(source.columns)
        self.columns = {name: name in numbers for name in self.used}
        self.unfamiliar = Unfamiliar(source.columns)

    @property
    def done(self) -> int:
        return self.table.done

    def parts(self) -> Iterator[Part]:
        rows = max(1, min(self.star.rows_at_once, CELLS // len(self.table.names)))
        none = True
        for frame, kept in self.table.parts(rows, self.columns, self.keep):
            none = False
            frame.attrs["folder"] = str(self.folder)
            yield Part(frame, kept.reset_index(drop=True))
            self.unfamiliar.take(frame)
        if none:
            empty = pd.DataFrame({name: pd.Series(dtype="str") for name in self.table.names})
            yield Part(empty, empty.loc[:, self.keep])

    def afterwards(self) -> list[str]:
        return self.unfamiliar.said

    def located(self, raw: Any, error: UserError) -> UserError:
        """Each value is read by itself, so the first rows cannot be encoded from the one on that cannot."""
        source: Any = self.star.source
        low, high = 0, len(raw)  # the rows before `low` can be encoded, those before `high` cannot
        while high > low:
            middle = (low + high) // 2
            try:
                source.transform(raw.iloc[: middle + 1])
                low = middle + 1
            except UserError as closer:
                high, error = middle, closer
        if low == len(raw):
            return error
        return UserError(f"{self.table.title}, row {raw.index[low] + 1:,}: {error.got}", error.expected, error.do)


class NumberRows(Rows):
    """Rows of as many numbers as an input has: by their names where data and file have them, else in order."""

    def __init__(self, table: Table, star: Star, keep: Sequence[str]) -> None:
        field = star.schema.input
        if not isinstance(field, Field):
            got = f"{table.title} for a star with several inputs ({', '.join(field)})"
            raise UserError(got, "several inputs by name", "use star.predict in Python")
        self.table, self.star, self.field = table, star, field
        self.keep = _kept(table, keep)
        self.used = [name for name in table.names if name not in self.keep]
        unused: list[str] = []
        if set(field.names) & set(self.used):  # columns go by their names wherever a file has them
            match_names(table.names, field.names, [], table.title)
            unused, self.used = _unused(table.names, field.names, [], self.keep), list(field.names)
        if len(self.used) != math.prod(field.shape):
            size = "×".join(map(str, field.shape))
            images = f", or images of {size}" if field.kind == "image" else ""
            got = f"{table.title} has {len(self.used):,} columns"
            raise UserError(got, f"{math.prod(field.shape):,} numbers a row{images}", "check the file")
        self.total, self.said = table.total, [*table.said, *unused]

    @property
    def done(self) -> int:
        return self.table.done

    def parts(self) -> Iterator[Part]:
        rows = max(1, min(self.star.rows_at_once, CELLS // len(self.table.names)))
        none = True
        for frame, kept in self.table.parts(rows, dict.fromkeys(self.used, True), self.keep):
            none = False
            yield Part(self._numbers(frame), kept.reset_index(drop=True))
        if none:
            yield Part(np.empty((0, *self.field.shape), np.float32), pd.DataFrame(columns=self.keep))

    def _numbers(self, frame: pd.DataFrame) -> Any:
        values = frame[self.used].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        wrong = np.argwhere(~np.isfinite(values))
        if len(wrong):
            row, place = wrong[0]
            name, found = self.used[place], frame[self.used[place]].iloc[row]
            what = "is empty" if pd.isna(found) else f"holds '{found}'"
            got = f"{self.table.title}, row {frame.index[row] + 1:,}: column '{name}' {what}"
            raise UserError(got, "a number in every place", "mend that value")
        return values.astype(np.float32).reshape(-1, *self.field.shape)


def targets_of(source: Any) -> list[str]:
    """The columns that a table's star answers: one, or several."""
    names = getattr(source, "target_names", None) or source.target_name
    return [names] if isinstance(names, str) else list(names)


def _kept(table: Table, keep: Sequence[str]) -> list[str]:
    """The columns to hand on; * is all of them."""
    if list(keep) == ["*"]:
        return list(table.names)
    for name in keep:
        if name not in table.names:
            got = f"--keep {name}: {table.title} has no such column"
            raise UserError(got, "one of its columns", nearest(name, table.names))
    return list(dict.fromkeys(keep))


def _unused(names: Sequence[str], used: Sequence[str], targets: Sequence[str], keep: Sequence[str]) -> list[str]:
    known = {*used, *targets, *keep}
    answers = [name for name in targets if name in names]
    extra = [name for name in names if name not in known]
    lines: list[str] = []
    if answers:
        lines.append(f"the target {shown(answers)} is in the file: it is not read")
    if extra:
        which = f"{len(extra):,} columns not trained on are" if len(extra) > 1 else "a column not trained on is"
        lines.append(f"{which} left out: {shown(extra)}")
    return lines
