"""Labels of images from a table beside them: a class, several classes, or a number for each file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from thetastar.data.prepare.reading import as_words, kind_of, read_table
from thetastar.data.prepare.several import MARKS, mark_of, members, parted
from thetastar.data.prepare.splitting import Given, split_of_rows
from thetastar.data.prepare.targets import read_target
from thetastar.errors import UserError, nearest

Kind = Literal["auto", "classification", "multi-label", "regression"]
PLACES = ("file", "filename", "file_name", "image", "path", "image_path", "id")
ANSWERS = ("label", "labels", "class", "classes", "target", "tags", "category", "y")
SPLIT = ("split",)


@dataclass(frozen=True)
class Labelled:
    """Files and what is to be said of them, in the order of the table.

    Attributes:
        rows: of the table, one a file.
        column: of the labels.
    """

    files: list[Path]
    rows: pd.DataFrame
    column: str

    def targets(self, kept: Any, kind: Kind, mark: str | None, said: list[str]) -> tuple[Any, tuple[str, ...]]:
        """Of the images that could be read: (rows,) numbers, or (rows, classes) of 0 and 1; and the classes' names."""
        column = pd.Series(self.rows[self.column]).iloc[kept].reset_index(drop=True)
        words = as_words(column)
        if words.isna().any():
            raise UserError(
                f"label column '{self.column}' has blanks", "a label in every row", "fill or drop those rows"
            )
        mark = mark or (mark_of(words) if kind in ("auto", "multi-label") and kind_of(column) == "words" else None)
        if mark is None and kind != "multi-label":
            y, field = read_target(column, "auto" if kind == "auto" else kind, said)
            return y, field.names
        mark = mark or MARKS[0]
        values, field = members(parted(words, mark), f"separated by {mark!r}", f"label column '{self.column}'", said)
        return values, field.names

    def given(self, kept: Any, column: str | None) -> Given | None:
        """The splits that a column of the table names."""
        name = column or next((name for name in self.rows.columns if name.lower() in SPLIT), None)
        return None if name is None else split_of_rows(pd.Series(self.rows[name]).iloc[kept].reset_index(drop=True))


def read_labels(where: Path, table: Path, file: str | None, label: str | None, said: list[str]) -> Labelled:
    """The table of labels of a folder; each row names a file below the folder, with or without its ending."""
    rows = read_table(table, said)
    place = _column(rows, file, PLACES, table.name, "file")
    answer = _column(rows.drop(columns=place), label, ANSWERS, table.name, "label")
    names = as_words(pd.Series(rows[place]))
    if names.isna().any():
        raise UserError(f"{table.name}: column '{place}' has blanks", "a file in every row", "drop those rows")
    found = [_located(where, str(name)) for name in names]
    absent = [str(name) for name, path in zip(names, found, strict=True) if path is None]
    if len(absent) == len(found):
        got = f"{table.name}: none of its {len(found):,} files is in {where} ({absent[0]}, …)"
        raise UserError(got, "names of files below the folder", f"check column '{place}'")
    if absent:
        said.append(f"{len(absent):,} of {len(found):,} rows of {table.name} name no file: {shown(absent)}")
    here = np.asarray([path is not None for path in found])
    return Labelled(
        [path for path in found if path is not None], pd.DataFrame(rows[here]).reset_index(drop=True), answer
    )


def names_files(table: Path) -> bool:
    """Whether a column of a table is called as columns of files are."""
    return any(str(name).lower() in PLACES for name in read_table(table, []).columns)


def _located(where: Path, name: str) -> Path | None:
    path = where / name
    if path.is_file():
        return path
    return next((file for ending in (".png", ".jpg", ".jpeg") if (file := where / f"{name}{ending}").is_file()), None)


def _column(rows: pd.DataFrame, asked: str | None, usual: Sequence[str], title: str, key: str) -> str:
    names = [str(name) for name in rows.columns]
    if asked is not None:
        if asked not in names:
            raise UserError(f"{title} has no column '{asked}'", f"the column of each {key}", nearest(asked, names))
        return asked
    found = [name for name in names if name.lower() in usual] or (names if len(names) == 1 else [])
    if not found:
        got = f"{title}: no column is called {', '.join(usual[:4])}, …"
        raise UserError(got, f"a column with the {key} of each image", f"set data.{key}=…")
    return found[0]


def shown(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
