"""Columns that name rows, or say in which order they came."""

from __future__ import annotations

import numpy as np
import pandas as pd

from thetastar.data.prepare.reading import as_numbers, as_words, kind_of
from thetastar.look.subject import Subject

FEWEST = 20  # rows below which all-different values mean nothing
DENSE = 10  # times the rows: whole numbers all different in so small a range were handed out one by one


def identifiers(subject: Subject) -> dict[str, str]:
    """Column → why it looks like an identifier or a counter."""
    found: dict[str, str] = {}
    if subject.images is not None or subject.count < FEWEST:
        return found
    for name in subject.frame.columns:
        reason = _reason(pd.Series(subject.frame[name]))
        if reason:
            found[str(name)] = reason
    return found


def _reason(column: pd.Series) -> str:
    if kind_of(column) == "words":
        return _of_words(as_words(column))
    x = as_numbers(column)
    if np.isnan(x).any():
        return ""
    steps = np.diff(x)
    if (steps > 0).all() or (steps < 0).all():
        return "it grows from row to row" if steps[0] > 0 else "it falls from row to row"
    whole = bool((x == np.round(x)).all())
    if whole and len(np.unique(x)) == len(x) and np.ptp(x) < DENSE * len(x):
        return "whole numbers, a different one in every row, without large gaps"
    return ""


def _of_words(words: pd.Series) -> str:
    """All-different words without blanks are names; with blanks they are text."""
    if words.isna().any() or not words.is_unique:
        return ""
    return "" if words.str.contains(" ", regex=False).mean() > 0.5 else "a different word in every row"
