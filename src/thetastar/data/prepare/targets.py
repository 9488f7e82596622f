"""What is asked of a table: the task read off the target column, said in words, and the target as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.reading import as_numbers, as_words, kind_of
from thetastar.data.prepare.recognising import number_style, numbers, style_in_words
from thetastar.errors import UserError, nearest
from thetastar.protocols import Field

Task = Literal["auto", "classification", "regression"]
FEW = 20  # whole numbers with at most so many values, each on three rows on average, are classes
YEARS = (1800, 2100)


def find_target(frame: pd.DataFrame, target: str | None, title: str) -> str:
    """The target's column, or a UserError that says which columns there are."""
    names = [str(name) for name in frame.columns]
    if target is None:
        shown = ", ".join(names[:30]) + (", …" if len(names) > 30 else "")
        raise UserError(f"{title}: no target given", f"one of its columns: {shown}", "name it with --target COLUMN")
    if target not in names:
        raise UserError(f"{title} has no column '{target}'", "one of its columns as target", nearest(target, names))
    return target


def read_target(column: pd.Series, task: Task, said: list[str]) -> tuple[NDArray[Any], Field]:
    """Class numbers with a category field, or numbers with a number field; `said` gets the task in words.

    Raises:
        UserError: missing or constant targets, a class with one example, words where numbers are asked for.
    """
    name, numeric = str(column.name), kind_of(column) == "number"
    values = as_numbers(column) if numeric else as_words(column).to_numpy(object)
    missing = int(pd.isna(values).sum())
    if missing:
        row = int(np.asarray(pd.isna(values)).argmax()) + 1
        raise UserError(
            f"target '{name}' is missing (NaN) in {missing:,} of {len(values):,} rows, row {row:,} first",
            "a target in every row",
            "drop those rows",
        )
    distinct, codes, counts = np.unique(
        values.astype(str) if not numeric else values, return_inverse=True, return_counts=True
    )
    if len(distinct) == 1:
        shown = f"{distinct[0]:g}" if numeric else distinct[0]
        raise UserError(f"target '{name}' is constant ({shown})", "a target that varies", "choose another target")
    marks: list[str] = []
    if not numeric and task != "classification" and not isinstance(column.dtype, pd.CategoricalDtype):
        written, style = _written(pd.Series(values, dtype="str"), name)
        if written is not None and (task == "regression" or not _are_classes(written)):
            numeric, values, distinct = True, written, np.unique(written)
            marks = [f"target '{name}' holds numbers with {style_in_words(style)}"] if style else []
    whole = numeric and _whole(values)
    if task == "auto":
        task = "regression" if numeric and not _are_classes(values) else "classification"
    if task == "regression":
        field = _numbers(name, numeric, whole, distinct, said)
        said.extend(marks)
        return values.astype(np.float32), field
    names = tuple(_plain(value, numeric) for value in distinct)
    refuse_singles(names, counts, f"target '{name}'")
    kind = "integer" if whole else "real" if numeric else "boolean" if column.dtype.kind == "b" else "word"
    hint = " (task=regression reads it as a number)" if whole and len(distinct) > 2 else ""
    said.append(f"classification into {len(distinct)} classes, from the {kind} target '{name}'{hint}")
    return codes.reshape(-1).astype(np.int64), Field("category", (), len(distinct), names)


def _plain(value: Any, numeric: bool) -> str:
    return str(int(value)) if numeric and float(value).is_integer() else str(value)


def _numbers(name: str, numeric: bool, whole: bool, distinct: NDArray[Any], said: list[str]) -> Field:
    if not numeric:
        raise UserError(
            f"target '{name}' holds words ('{distinct[0]}')", "numbers for a regression", "set task=classification"
        )
    kind = f"integer target '{name}' ({len(distinct):,} distinct values)" if whole else f"real target '{name}'"
    hint = " (task=classification reads it as classes)" if len(distinct) <= FEW else ""
    said.append(f"regression of one number, from the {kind}{hint}")
    return Field("number", ())


def _whole(values: NDArray[Any]) -> bool:
    return bool((values == np.floor(values)).all())


def _are_classes(values: NDArray[Any]) -> bool:
    """Whether numbers are few whole ones, however they are written; years are none unless there are two."""
    distinct = np.unique(values)
    years = len(distinct) > 2 and YEARS[0] <= distinct[0] and distinct[-1] <= YEARS[1]
    return _whole(distinct) and not years and len(distinct) <= max(2, min(FEW, len(values) // 3))


def _written(words: pd.Series, name: str) -> tuple[NDArray[np.float64] | None, str]:
    """Words that are all numbers, and their style; words among many numbers are slips of the pen, not classes."""
    style = number_style(words) or ""
    found = numbers(words, style)
    slips, count = pd.unique(words[np.isnan(found)]), words.nunique()
    if count > FEW and 0 < len(slips) < count / 2:
        shown = ", ".join(f"'{slip}'" for slip in slips[:3])
        raise UserError(f"target '{name}' holds {shown} among numbers", "numbers, or words", "mend or drop those rows")
    return (None if len(slips) else found), style


def refuse_singles(names: Sequence[str], counts: Sequence[int] | NDArray[np.int64], where: str) -> None:
    """A class with one example cannot be both learnt and tested."""
    single = [name for name, count in zip(names, counts, strict=True) if count == 1]
    if len(single) > FEW and len(single) > len(names) / 2:
        got = f"{where}: {len(single):,} of {len(names):,} classes, such as '{single[0]}', have a single example"
        raise UserError(got, "a few classes with many examples each", "choose another target: it may name the rows")
    if single:
        shown = ", ".join(f"'{name}'" for name in single[:5]) + (
            f" and {len(single) - 5:,} more" if len(single) > 5 else ""
        )
        which = f"class {shown} has" if len(single) == 1 else f"classes {shown} have"
        raise UserError(
            f"{where}: {which} a single example",
            "at least 2 examples of every class",
            "add examples, or drop or merge it",
        )
