"""Targets of more than one answer: several columns, or several labels in one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.reading import as_floats, as_numbers, as_words, kind_of
from thetastar.data.prepare.targets import find_target, read_target, refuse_singles
from thetastar.errors import UserError
from thetastar.protocols import Field

Task = Literal["auto", "classification", "multi-label", "regression"]
MARKS = ("|", ";", ",")  # between several labels
CLEAR = ("|", ";")  # of these, those that seldom stand within a name: "Paris, France" is one label
NO, YES = ("0", "False", "no", "n"), ("1", "True", "yes", "y")


def find_targets(frame: pd.DataFrame, target: str | Sequence[str] | None, title: str) -> list[str]:
    """The target's columns, from a name, several, or several with commas between; each is there."""
    if isinstance(target, str) and target not in frame.columns and "," in target:
        target = [name for part in target.split(",") if (name := part.strip())]
    names = [target] if target is None or isinstance(target, str) else list(target)
    found = [find_target(frame, name, title) for name in names or [None]]
    twice = [name for name in found if found.count(name) > 1]
    if twice:
        raise UserError(f"target '{twice[0]}' {found.count(twice[0])} times", "every column once", "leave one out")
    copies = [name for name in found if f"{name}.1" in frame.columns]
    if copies:
        raise UserError(f"{title} has several columns '{copies[0]}'", "one target", "rename the others")
    return found


def has_answer(frame: pd.DataFrame, names: Sequence[str], task: Task) -> NDArray[np.bool_]:
    """Rows in which every target has a value; a blank among lists of labels is a row with no label."""
    columns = [pd.Series(frame[name]) for name in names]
    many = len(columns) == 1 and task in ("auto", "multi-label") and _labels(columns[0], task == "multi-label")
    if many or any(_lists(column).any() for column in columns):
        return np.ones(len(frame), dtype=bool)
    read = [as_numbers(column) if kind_of(column) == "number" else as_words(column) for column in columns]
    return ~np.any([np.asarray(pd.isna(values)) for values in read], axis=0)


def read_targets(
    frame: pd.DataFrame, names: Sequence[str], task: Task, said: list[str]
) -> tuple[NDArray[Any], Field, NDArray[Any] | None]:
    """Targets of any number of answers, their field, and the classes to stratify by, where there is one a row."""
    if len(names) > 1:
        values, field = _columns(frame, names, task, said)
        return values, field, None
    column = pd.Series(frame[names[0]])
    if task in ("auto", "multi-label"):
        labels = _labels(column, task == "multi-label")
        if labels is not None:
            values, field = members(*labels, f"target '{names[0]}'", said, many=task == "auto")
            return values, field, None
    assert task != "multi-label"
    values, field = read_target(column, task, said)
    return values, field, values if field.kind == "category" else None


# --- several columns ---------------------------------------------------------------------------------------------


def _columns(frame: pd.DataFrame, names: Sequence[str], task: Task, said: list[str]) -> tuple[NDArray[Any], Field]:
    """Columns of no and yes are labels; columns of numbers are numbers; anything else is refused."""
    columns = [pd.Series(frame[name]) for name in names]
    shown = ", ".join(f"'{name}'" for name in names[:8]) + (", …" if len(names) > 8 else "")
    truths = [None if task == "regression" else _truth(column) for column in columns]
    if all(truth is not None for truth in truths):
        hint = " (task=regression reads them as numbers)" if task == "auto" else ""
        said.append(f"multi-label classification into {len(names)} labels, from the yes/no columns {shown}{hint}")
        found = np.stack([truth for truth in truths if truth is not None], 1)
        return found.astype(np.float32), Field("categories", (len(names),), len(names), tuple(names))
    words = [name for name, column in zip(names, columns, strict=True) if kind_of(column) == "words"]
    odd = [name for name, truth in zip(names, truths, strict=True) if truth is None]
    if task in ("classification", "multi-label"):
        raise UserError(f"targets {shown}: '{odd[0]}' holds more than no and yes", "columns of 0 and 1", "name one")
    if words and task == "auto":
        raise UserError(f"targets {shown}: '{words[0]}' holds words", "all numbers, or all no and yes", "name one")
    read = [read_target(column, "regression", [])[0] for column in columns]
    said.append(
        f"regression of {len(names)} numbers, from the columns {shown}; errors count in units of each one's deviation"
    )
    return np.stack(read, 1).astype(np.float32), Field("number", (len(names),), names=tuple(names))


def _truth(column: pd.Series) -> NDArray[np.bool_] | None:
    """A column of no and yes, however written; None where it holds anything else."""
    words = as_words(column)
    if words.isna().any():
        return None
    lower = words.str.lower()
    yes, no = lower.isin([word.lower() for word in YES]), lower.isin([word.lower() for word in NO])
    if not (yes | no).all() or yes.all() or no.all():
        return None
    return yes.to_numpy(bool)


# --- several labels in one column --------------------------------------------------------------------------------


def _labels(column: pd.Series, asked: bool) -> tuple[list[set[str]], str] | None:
    """The labels of each row and how they were told apart; None where a row has one answer."""
    lists = _lists(column)
    if lists.any():
        found = [set(map(str, value)) if many else set[str]() for value, many in zip(column, lists, strict=True)]
        odd = [value for value, many, gap in zip(column, lists, column.isna(), strict=True) if not many and not gap]
        if odd:
            raise UserError(f"target '{column.name}' holds '{odd[0]}' among lists", "lists", "mend that value")
        return found, "in lists"
    words = as_words(column)
    mark = mark_of(words.dropna(), MARKS if asked else CLEAR) if kind_of(column) == "words" else None
    if mark is None and not asked:
        return None
    return parted(words.fillna(""), mark or MARKS[0]), f"separated by {mark or MARKS[0]!r}"


def _lists(column: pd.Series) -> NDArray[np.bool_]:
    if column.dtype != np.dtype(object):
        return np.zeros(len(column), dtype=bool)
    return np.array([isinstance(value, list | tuple | set | np.ndarray) for value in column], dtype=bool)


def mark_of(words: pd.Series, marks: Collection[str] = MARKS) -> str | None:
    """The mark with which labels are lists: those between marks come again in other lists. None where there is none."""
    if not np.isnan(as_floats(words)).any():
        return None
    for mark in marks:
        lists = [text.split(mark) for text in words]
        parts = {part.strip() for labels in lists for part in labels}
        if (
            max(map(len, lists)) > 1
            and len(parts) < words.nunique()
            and all(len(set(labels)) == len(labels) for labels in lists)
        ):
            return mark
    return None


def parted(words: pd.Series, mark: str) -> list[set[str]]:
    return [{label.strip() for label in text.split(mark) if label.strip()} for text in words]


def members(
    sets: Sequence[set[str]], how: str, where: str, said: list[str], many: bool = False
) -> tuple[NDArray[np.float32], Field]:
    """Sets of labels as 0/1 for each; `many` says how to have each set read as one class."""
    names = sorted(set[str]().union(*sets))
    if len(names) < 2:
        raise UserError(f"{where} holds one label only", "several", "choose another target")
    refuse_singles(names, [sum(label in labels for labels in sets) for label in names], where)
    none = sum(not labels for labels in sets)
    blank = f"; {none:,} rows have none" if none else ""
    hint = " (task=classification reads each combination as a class)" if many and how != "in lists" else ""
    said.append(f"multi-label classification into {len(names)} labels, {how} in {where}{blank}{hint}")
    values = np.asarray([[label in labels for label in names] for labels in sets], np.float32)
    return values, Field("categories", (len(names),), len(names), tuple(names))
