"""Answers on their way out: CSV or JSON lines on the output stream, or a file that appears when it is whole."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from thetastar.errors import UserError
from thetastar.functional.jsonable import strict


class Sheet(ABC):
    """Rows written part by part."""

    @abstractmethod
    def write(self, frame: pd.DataFrame) -> None:
        """The next rows; the first call, of no rows too, decides the columns."""

    def close(self) -> None:  # noqa: B027 - text has no end to write
        """After the last rows."""


class Csv(Sheet):
    def __init__(self, file: IO[str], separator: str = ",") -> None:
        self.file, self.separator, self.begun = file, separator, False

    def write(self, frame: pd.DataFrame) -> None:
        frame.to_csv(self.file, sep=self.separator, index=False, header=not self.begun, lineterminator="\n")
        self.begun = True


class JsonLines(Sheet):
    """One object a row; what is not finite is null."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def write(self, frame: pd.DataFrame) -> None:
        columns = {str(name): _values(column) for name, column in frame.items()}
        for row in zip(*columns.values(), strict=True):
            record = strict(dict(zip(columns, row, strict=True)))
            self.file.write(json.dumps(record, ensure_ascii=False, allow_nan=False, default=str) + "\n")


class ParquetFile(Sheet):
    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.writer = file, None

    def write(self, frame: pd.DataFrame) -> None:
        import pyarrow
        from pyarrow import parquet

        columns = {name: _one_type(column) for name, column in frame.items()}
        table = pyarrow.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
        if self.writer is None:
            self.writer = parquet.ParquetWriter(self.file, table.schema)
        self.writer.write_table(table)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _one_type(column: pd.Series) -> pd.Series:
    """Values of any type, as rows of JSON hold them, as text: every part of a file must have the same type."""
    return column.map(_text, na_action="ignore").astype("str") if column.dtype == object else column


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _values(column: pd.Series) -> list[Any]:
    """As JSON says them: a float32 by its own digits, what is missing as null."""
    if column.dtype == np.float32:
        return [float(text) for text in column.astype(str)]
    return [None if value is pd.NA or value is pd.NaT else value for value in column.tolist()]


ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")


@contextlib.contextmanager
def sheet(out: Path | None, as_json: bool) -> Iterator[Sheet]:
    """Where answers go. A file is written beside its place, and moved there at the end; a mistake leaves none."""
    if out is None:
        yield JsonLines(sys.stdout) if as_json else Csv(sys.stdout)
        return
    beside = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        with _opened(beside, out.suffix.lower()) as made:
            yield made
            made.close()
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(path: Path, ending: str) -> Iterator[Sheet]:
    if ending in (".parquet", ".pq"):
        with path.open("wb") as file:
            yield ParquetFile(file)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        yield JsonLines(file) if ending in (".jsonl", ".ndjson") else Csv(file, "\t" if ending == ".tsv" else ",")


def check_place(out: Path | None, as_json: bool) -> None:
    """Refuse a place before anything is read."""
    if out is None:
        return
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise UserError(f"--out {out}", f"a file ending in {', '.join(ENDINGS)}", "choose a name")
    if as_json and ending not in (".jsonl", ".ndjson"):
        raise UserError(f"--json and --out {out}", "a name ending in .jsonl", "leave --json out or choose another name")
    if out.is_dir() or not out.parent.is_dir():
        got = f"--out {out} is a folder" if out.is_dir() else f"--out {out}: no folder {out.parent}"
        raise UserError(got, "a file in a folder that exists", "choose another name")
