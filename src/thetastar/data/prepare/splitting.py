"""Splits that the data name themselves, by files or by a column; and the times by which they are to be split."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.dates import days, moments
from thetastar.data.prepare.reading import as_numbers, as_words, kind_of
from thetastar.data.prepare.recognising import date_form, number_style, numbers
from thetastar.errors import UserError, nearest
from thetastar.protocols import Split

SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
}
Given = dict[Split, NDArray[np.int64]]


def split_of_name(stem: str) -> Split | None:
    """The split that a file's name begins or ends with: train-2, adult-test, data_valid."""
    words = [word for word in re.split(r"[^a-z]+", stem.lower()) if word]
    found: list[Split] = [SPLITS[word] for word in (words[:1] + words[-1:]) if word in SPLITS]
    return found[0] if found else None


def names_splits(frame: pd.DataFrame) -> str | None:
    """A column of words that are all names of splits, train among them; None where there is none."""
    for name, column in frame.items():
        if not pd.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind not in "mM":
            splits = {SPLITS.get(word) for word in column.dropna().astype(str).str.strip().str.lower().unique()}
            if "train" in splits and None not in splits and len(splits) > 1:
                return str(name)
    return None


def split_of_rows(column: pd.Series) -> Given:
    """Row numbers by the word of a column."""
    name, words = column.name, as_words(column).str.lower()
    if words.isna().any():
        row = int(words.isna().to_numpy().argmax()) + 1
        raise UserError(
            f"split column '{name}' is blank in row {row:,}", ", ".join(SPLITS), "name the split of every row"
        )
    unknown = sorted(set(words) - set(SPLITS))
    if unknown:
        raise UserError(
            f"split column '{name}' holds '{unknown[0]}'", "train, valid or test", nearest(unknown[0], SPLITS)
        )
    splits = words.map(SPLITS).to_numpy(object)
    return gathered(splits, f"split column '{name}'")


def gathered(splits: NDArray[np.object_], where: str) -> Given:
    found: Given = {split: np.flatnonzero(splits == split) for split in ("train", "valid", "test") if split in splits}
    if "train" not in found:
        raise UserError(f"{where} names no rows to train on", "rows of train", "check the words")
    return found


def times_of(column: pd.Series) -> NDArray[np.float64]:
    """One number a row that grows with time: a number itself, or the days of a date."""
    if column.dtype.kind == "M":
        found = days(moments(column, "ISO8601"))
    elif kind_of(column) == "number":
        found = as_numbers(column)
    else:
        words = as_words(column)
        style, form = number_style(words), date_form(words)
        if style is None and form is None:
            known = words.dropna()
            shown = f"'{known.iloc[0]}'" if len(known) else "nothing"
            raise UserError(f"time column '{column.name}' holds {shown}", "dates or numbers", "choose another column")
        found = numbers(words, style) if style is not None else days(moments(column, form or ""))
    if np.isnan(found).any():
        row = int(np.isnan(found).argmax())
        raise UserError(
            f"time column '{column.name}' holds '{column.iloc[row]}' in row {row + 1:,}",
            "a date or number in every row",
            "mend or drop that row",
        )
    return found
