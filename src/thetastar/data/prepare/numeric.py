"""Columns of numbers: gaps filled and marked, and where asked brought to an even spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.reading import as_numbers, as_words, kind_of
from thetastar.data.prepare.recognising import numbers, style_in_words
from thetastar.errors import UserError

Impute = Literal["median", "mean"]
Scale = Literal["standard", "quantile", "none"]
LEVELS = 256  # quantiles that a column is transformed by, at most


@dataclass(frozen=True)
class Number:
    """x ↦ (x, or `middle` where it is missing; and, with `gaps`, whether it was missing).

    `style` is the mark of thousands; with `loose`, words among the numbers count as missing, as they did in training.
    With `levels`, quantiles of the training rows, x becomes the share of training rows below it.
    """

    name: str
    middle: float
    gaps: bool
    style: str = ""
    loose: bool = False
    levels: tuple[float, ...] = ()

    @property
    def entries(self) -> list[str]:
        return [self.name, f"{self.name} missing"] if self.gaps else [self.name]

    def encode(self, column: pd.Series, strict: bool) -> NDArray[np.float32]:
        x, wrong = values_of(column, self.style)
        if strict and not self.loose and len(wrong):
            raise UserError(f"column '{self.name}' holds '{wrong.iloc[0]}'", "numbers", "mend that value")
        gap = np.isnan(x)
        filled = np.where(gap, self.middle, x)
        if self.levels:
            filled = below(filled, self.levels)
        return np.stack([filled, gap][: 1 + self.gaps], 1).astype(np.float32)


def values_of(column: pd.Series, style: str) -> tuple[NDArray[np.float64], pd.Series]:
    """A column as numbers, NaN where there is none; and the words that are no numbers."""
    if kind_of(column) == "number":
        return as_numbers(column), column.iloc[:0]
    words = as_words(column)
    x = numbers(words, style)
    return x, pd.Series(words[np.isnan(x) & words.notna().to_numpy()])


def below(x: NDArray[np.float64], levels: tuple[float, ...]) -> NDArray[np.float64]:
    """F(x) in [0, 1], linear between the quantiles; a value that many rows share gets the middle of their shares."""
    cuts, shares = np.asarray(levels), np.linspace(0, 1, len(levels))
    return (np.interp(x, cuts, shares) - np.interp(-x, -cuts[::-1], -shares[::-1])) / 2


def fit_number(
    name: str, column: pd.Series, style: str, impute: Impute, scale: Scale, said: list[str]
) -> Number | None:
    """What training rows say of a column of numbers; None where it holds nothing to learn from."""
    x, wrong = values_of(column, style)
    known = x[~np.isnan(x)]
    gaps = len(known) < len(x)
    if len(known) == 0:
        said.append(f"column '{name}' left out: no value in the training rows")
        return None
    if not gaps and np.ptp(known) == 0:
        said.append(f"column '{name}' left out: it is always {known[0]:g} in the training rows")
        return None
    if style:
        said.append(f"column '{name}' holds numbers with {style_in_words(style)}")
    if len(wrong):
        some = ", ".join(f"'{word}'" for word in wrong.unique()[:3])
        said.append(f"column '{name}': {len(wrong):,} of {len(x):,} values are no numbers ({some}): read as missing")
    middle = float(np.median(known) if impute == "median" else np.mean(known))
    levels: tuple[float, ...] = ()
    if scale == "quantile" and np.ptp(known) > 0:
        shares = np.linspace(0, 1, min(LEVELS, len(known)))
        levels = tuple(np.maximum.accumulate(np.quantile(known, shares)).tolist())
    return Number(name, middle, gaps, style, len(wrong) > 0, levels)
