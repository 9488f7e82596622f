"""What is asked of a table: the task read off the target column, said in words, and the target as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thetastar.data.prepare.reading import as_floats, as_numbers, as_words, kind_of
from thetastar.errors import UserError, nearest
from thetastar.protocols import Field

Task = Literal["auto", "classification", "regression"]
FEW = 20  # whole numbers with at most so many values, each on three rows on average, are classes


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
        raise UserError(
            f"target '{name}' is missing (NaN) in {missing:,} of {len(values):,} rows",
            "a target in every row",
            "drop those rows",
        )
    distinct, codes, counts = np.unique(
        values.astype(str) if not numeric else values, return_inverse=True, return_counts=True
    )
    if len(distinct) == 1:
        shown = f"{distinct[0]:g}" if numeric else distinct[0]
        raise UserError(f"target '{name}' is constant ({shown})", "a target that varies", "choose another target")
    whole = numeric and pd.api.types.infer_dtype(column) == "integer"
    few = whole and len(distinct) <= max(2, min(FEW, len(values) // 3))
    if task == "auto":
        task = "classification" if few or not numeric else "regression"
        _refuse_mixture(name, distinct, numeric)
    if task == "regression":
        return _numbers(name, values, numeric, whole, distinct, said)
    names = tuple(_plain(value, numeric) for value in distinct)
    refuse_singles(names, counts, f"target '{name}'")
    kind = "integer" if whole else "real" if numeric else "boolean" if column.dtype.kind == "b" else "word"
    hint = " (task=regression reads it as a number)" if whole and len(distinct) > 2 else ""
    said.append(f"classification into {len(distinct)} classes, from the {kind} target '{name}'{hint}")
    return codes.reshape(-1).astype(np.int64), Field("category", (), len(distinct), names)


def _plain(value: Any, numeric: bool) -> str:
    return str(int(value)) if numeric and float(value).is_integer() else str(value)


def _numbers(
    name: str, values: NDArray[Any], numeric: bool, whole: bool, distinct: NDArray[Any], said: list[str]
) -> tuple[NDArray[Any], Field]:
    if not numeric:
        raise UserError(
            f"target '{name}' holds words ('{distinct[0]}')", "numbers for a regression", "set task=classification"
        )
    kind = f"integer target '{name}' ({len(distinct):,} distinct values)" if whole else f"real target '{name}'"
    hint = " (task=classification reads it as classes)" if len(distinct) <= FEW else ""
    said.append(f"regression of one number, from the {kind}{hint}")
    return values.astype(np.float32), Field("number", ())


def _refuse_mixture(name: str, distinct: NDArray[Any], numeric: bool) -> None:
    """Words among numbers are slips of the pen, not classes."""
    if numeric:
        return
    slips = distinct[np.isnan(as_floats(distinct))]
    if len(distinct) > FEW and 0 < len(slips) < len(distinct) / 2:
        shown = ", ".join(f"'{slip}'" for slip in slips[:3])
        raise UserError(f"target '{name}' holds {shown} among numbers", "numbers, or words", "mend or drop those rows")


def refuse_singles(names: Sequence[str], counts: Sequence[int] | NDArray[np.int64], where: str) -> None:
    """A class with one example cannot be both learnt and tested."""
    single = [name for name, count in zip(names, counts, strict=True) if count == 1]
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
