"""Feature crosses: what two columns say together that neither says alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.numeric import Number
from thetastar.data.prepare.reading import as_words
from thetastar.data.prepare.words import Ranks, Words, fit_words
from thetastar.errors import UserError, nearest

Matrix = NDArray[np.float32]
SIGN = "*"


@dataclass(frozen=True)
class Product:
    """(a, b) ↦ z(a) z(b), z(x) = (x − μ) / σ over the training rows; with words b ↦ z(a) at the entry of the word."""

    name: str
    first: Number | Ranks
    second: Number | Ranks | Words
    moments: tuple[float, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        return self.first.name, self.second.name

    @property
    def entries(self) -> list[str]:
        if isinstance(self.second, Words):
            return [f"{self.first.name} × {entry}" for entry in self.second.entries]
        return [f"{self.first.name} × {self.second.name}"]

    def encode(self, frame: pd.DataFrame, strict: bool) -> Matrix:
        mean, std = self.moments[:2]
        z = (self.first.encode(pd.Series(frame[self.first.name]), strict)[:, :1].astype(np.float64) - mean) / std
        other = self.second.encode(pd.Series(frame[self.second.name]), strict).astype(np.float64)
        if not isinstance(self.second, Words):
            other = (other[:, :1] - self.moments[2]) / self.moments[3]
        return (z * other).astype(np.float32)


@dataclass(frozen=True)
class Pair:
    """(a, b) ↦ the words of both as one word, one-hot; unknown where either is missing or the pair was never seen."""

    name: str
    sides: tuple[str, ...]
    words: Words

    @property
    def sources(self) -> tuple[str, ...]:
        return self.sides

    @property
    def entries(self) -> list[str]:
        return self.words.entries

    def encode(self, frame: pd.DataFrame, strict: bool) -> Matrix:
        return self.words.encode(joined(frame, self.sides), strict)


def joined(frame: pd.DataFrame, sides: Sequence[str]) -> pd.Series:
    first, second = (as_words(pd.Series(frame[name])) for name in sides)
    return first + " × " + second


def fit_crosses(
    asked: Sequence[str], frame: pd.DataFrame, columns: Mapping[str, Any], said: list[str]
) -> list[Product | Pair]:
    """The crosses that a user names, such as age*income.

    Args:
        asked: two names of columns with * between them.
        frame: the training rows.
        columns: how each of them is read, by name.
        said: gets one line.
    """
    found = [cross for one in asked if (cross := _fit(one, frame, columns, said)) is not None]
    if found:
        said.append(f"crosses: {', '.join(cross.name for cross in found)}")
    return found


def _fit(asked: str, frame: pd.DataFrame, columns: Mapping[str, Any], said: list[str]) -> Product | Pair | None:
    first, second = (columns[side] for side in sides_of(asked, frame, columns))
    name = f"{first.name}{SIGN}{second.name}"
    if isinstance(first, Words) and isinstance(second, Words):
        sides = (first.name, second.name)
        words = fit_words(f"{first.name} × {second.name}", joined(frame, sides), "onehot", None, said)
        return Pair(name, sides, words) if isinstance(words, Words) else None
    if isinstance(first, Words):
        first, second = second, first
    moments: list[float] = []
    for side in (first, second):
        if not isinstance(side, Words):
            x = side.encode(pd.Series(frame[side.name]), False)[:, 0].astype(np.float64)
            moments += [float(x.mean()), float(x.std()) or 1.0]
    return Product(name, first, second, tuple(moments))


def sides_of(asked: str, frame: pd.DataFrame, columns: Mapping[str, Any]) -> tuple[str, str]:
    """The two columns of a cross; a name may itself hold a *."""
    parts = asked.split(SIGN)
    ways = [(SIGN.join(parts[:i]).strip(), SIGN.join(parts[i:]).strip()) for i in range(1, len(parts))]
    if not ways:
        raise UserError(f"data.crosses: '{asked}'", "two columns with * between", "write for example age*income")
    sides = next((way for way in ways if way[0] in frame.columns and way[1] in frame.columns), ways[0])
    for side in sides:
        if side not in frame.columns:
            raise UserError(f"data.crosses: no column '{side}'", "columns of the table", nearest(side, frame.columns))
        if not isinstance(columns.get(side), Number | Ranks | Words):
            what = "is left out" if side not in columns else "holds dates or texts"
            raise UserError(f"data.crosses: column '{side}' {what}", "columns of numbers or words", "name another")
    return sides
