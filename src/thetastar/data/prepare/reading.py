"""Tables from files and from Python, and their columns as numbers or words."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.util import hash_pandas_object

from thetastar.data.prepare.chunks import reported
from thetastar.data.prepare.formats import READERS, ending, read_text
from thetastar.errors import UserError, nearest

MISSING = ("?", "")  # beside pandas' own: NA, N/A, NaN, null, None, …
TRUTH = {"true": "True", "TRUE": "True", "false": "False", "FALSE": "False"}  # however a file writes them
INDEX_NAMES = ("", "id", "index", "unnamed: 0")


def read_table(path: Path, said: list[str], words: Collection[str] = ()) -> pd.DataFrame:
    """The rows of a file, its columns with distinct names; or a UserError that says what is wrong with it.

    Columns in `words` are read as words even where this file's values all look like numbers, as far as it is text.
    """
    with reported(str(path)):
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty", "a table with a line of column names", "check the file")
        try:
            frame = READERS.get(ending(path).removesuffix(".gz"), read_text)(path, said, words)
        except (ValueError, MemoryError) as error:  # pandas' own want of memory is a kind of ValueError
            if isinstance(error, MemoryError) or "out of memory" in str(error):
                got = f"{path} does not fit into memory ({path.stat().st_size / 2**20:,.0f} MiB)"
                do = "take a sample; theta predict needs no room for all"
                raise UserError(got, "fewer rows or columns", do) from None
            raise
    if len(frame) == 0:
        raise UserError(f"{path} has column names but no rows", "at least one row", "check the file")
    return distinct_names(frame, said)


def distinct_names(frame: pd.DataFrame, said: list[str]) -> pd.DataFrame:
    """Names stripped; of several alike the second becomes name.1, and so on."""
    names = [str(name).strip() for name in frame.columns]
    known, used, found = set(names), set[str](), list[str]()
    for name in names:
        own, number = name, 0
        while own in used or (number and own in known):
            number += 1
            own = f"{name}.{number}"
        used.add(own)
        found.append(own)
    renamed = [f"'{name}' → '{own}'" for name, own in zip(names, found, strict=True) if name != own]
    if renamed:
        more = f" and {len(renamed) - 10:,} more" if len(renamed) > 10 else ""
        said.append(f"columns of the same name renamed: {', '.join(renamed[:10])}{more}")
    return frame.set_axis(found, axis=1)


def content_hash(path: Path) -> str:
    """Of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def frame_hash(frame: pd.DataFrame) -> str:
    """Of the values and names, not of the index; lists and the like by how they are written."""
    digest = hashlib.sha256("\0".join(map(str, frame.columns)).encode())
    columns = [frame.iloc[:, number] for number in range(frame.shape[1])]
    plain = pd.concat([column.map(repr) if _odd_types(column) else column for column in columns], axis=1)
    digest.update(hash_pandas_object(plain, index=False).to_numpy().tobytes())  # type: ignore[operator]
    return digest.hexdigest()[:16]


def kind_of(column: pd.Series) -> Literal["number", "words"]:
    """Categories and truth values are words, dates are numbers (of days)."""
    kind, name = column.dtype, column.name
    if isinstance(kind, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(kind):
        return "words"
    if pd.api.types.is_complex_dtype(kind):
        raise UserError(f"column '{name}' holds complex numbers", "numbers or words", "split it into two columns")
    if pd.api.types.is_numeric_dtype(kind) or kind.kind in "mM":
        return "number"
    if kind != np.dtype(object):
        return "words"
    if odd := _odd_types(column):
        raise UserError(f"column '{name}' holds values of type {odd[0]}", "numbers or words", "leave it out with drop")
    types = {type(value) for value in column.dropna()}
    numbers = all(issubclass(found, int | float | np.number) and found is not bool for found in types)
    return "number" if types and numbers else "words"


def _odd_types(column: pd.Series) -> list[str]:
    """Names of the types of values that are neither numbers nor words, of a column of objects."""
    if column.dtype != np.dtype(object):
        return []
    types = {type(value) for value in column.dropna()}
    return sorted(
        found.__name__ for found in types if issubclass(found, list | tuple | dict | set | bytes | np.ndarray)
    )


def as_numbers(column: pd.Series) -> NDArray[np.float64]:
    """Missing and infinite values become NaN; a date becomes days since 1970."""
    if column.dtype.kind in "mM":
        start = pd.Timestamp(0, tz=getattr(column.dtype, "tz", None)) if column.dtype.kind == "M" else pd.Timedelta(0)
        return ((column - start) / pd.Timedelta(days=1)).to_numpy(np.float64, na_value=np.nan)
    if not pd.api.types.is_numeric_dtype(column.dtype):
        words = as_words(column)
        values = as_floats(words)
        wrong = words.to_numpy(object)[np.isnan(values) & words.notna().to_numpy()]
        if len(wrong):
            raise UserError(f"column '{column.name}' holds '{wrong[0]}'", "numbers", "mend that value")
    else:
        values = column.to_numpy(np.float64, na_value=np.nan).copy()
    with np.errstate(over="ignore"):
        values[~np.isfinite(values.astype(np.float32))] = np.nan
    return values


def as_floats(words: Any) -> NDArray[np.float64]:
    """NaN where a word is no number."""
    return np.array(pd.to_numeric(pd.Series(words), errors="coerce"), dtype=np.float64)


def as_words(column: pd.Series) -> pd.Series:
    """Stripped words; missing ones are NaN."""
    words = column if column.dtype == "str" else column.astype(object).map(_word, na_action="ignore").astype("str")
    words = words.str.strip()
    return words.mask(words.isin(MISSING)).replace(TRUTH)


def _word(value: Any) -> str:
    """Whole numbers alike, whether or not gaps in their column made floats of them."""
    return str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value)


def frame_of(raw: Any, names: Sequence[str], words: Collection[str] = ()) -> pd.DataFrame:
    """What a user hands to `predict`: a frame, a file, a row or rows, by name or in the order of `names`.

    Columns in `words` are read as words, see read_table.
    """
    if isinstance(raw, pd.DataFrame):
        frame = raw
    elif isinstance(raw, str | Path):
        frame = read_table(Path(raw).expanduser(), [], words)
    elif isinstance(raw, Mapping):
        single = not any(pd.api.types.is_list_like(value) for value in raw.values())
        frame = pd.DataFrame([raw]) if single else pd.DataFrame(raw)
    elif isinstance(raw, Sequence) and len(raw) and all(isinstance(row, Mapping) for row in raw):
        frame = pd.DataFrame(list(raw))
    else:
        frame = _by_position(raw, names)
    return distinct_names(frame, [])


def _by_position(raw: Any, names: Sequence[str]) -> pd.DataFrame:
    rows = raw.tolist() if hasattr(raw, "tolist") else raw
    if isinstance(rows, Sequence) and len(rows) and not isinstance(rows[0], Sequence | np.ndarray):
        rows = [rows]
    if not isinstance(rows, Sequence) or not len(rows) or any(len(row) != len(names) for row in rows):
        got = "rows that do not fit the table"
        raise UserError(got, f"{len(names)} values each: {', '.join(names)}", "give them by name")
    return pd.DataFrame([list(row) for row in rows], columns=list(names))


def match(frame: pd.DataFrame, used: Sequence[str], known: Sequence[str]) -> pd.DataFrame:
    """The used columns by name, or a UserError with the difference. Columns beyond them are left alone."""
    absent = [name for name in used if name not in frame.columns]
    if absent:
        extra = [name for name in frame.columns if name not in known]
        got = f"columns missing: {', '.join(absent)}" + (f"; not known: {', '.join(extra)}" if extra else "")
        hint = nearest(absent[0], extra) if extra and len(absent) == 1 else "give every column a value or a blank"
        raise UserError(got, f"{', '.join(used)}", hint)
    return frame
