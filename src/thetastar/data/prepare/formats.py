"""Formats of tables: delimited text, JSON lines, Parquet, Arrow."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

Reader = Callable[[Path, list[str]], pd.DataFrame]
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # how spreadsheets begin what they call Unicode text


def read_text(path: Path, said: list[str]) -> pd.DataFrame:
    """Comma, semicolon or tab between values; a line of names first. Names stay as they are, several alike too."""
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in UTF16 else "utf-8-sig"
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline()
    if separator not in first:
        found = next((other for other in (",", ";", "\t") if other in first), separator)
        if found != separator:
            said.append(f"columns are separated by {found!r}")
        separator = found
    with path.open(encoding=encoding, newline="") as file:
        names = next(csv.reader(file, delimiter=separator, skipinitialspace=True), [])
    options: dict[str, Any] = {"na_values": ["?"], "skipinitialspace": True, "low_memory": False}
    frame = pd.read_csv(path, sep=separator, encoding=encoding, **options)
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the surplus of every row for an index
        raise ValueError("rows have more values than there are names")
    if len(names) == frame.shape[1]:  # pandas numbers those that are alike without a word
        frame.columns = pd.Index([name.strip() or own for name, own in zip(names, frame.columns, strict=True)])
    return frame


def read_json(path: Path, said: list[str]) -> pd.DataFrame:
    """One object a line, or an array of objects. Keys that a row lacks are missing values."""
    text = path.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("["):
        rows = json.loads(text)
    else:
        rows = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except json.JSONDecodeError as error:
                    raise ValueError(f"line {number}: {error.msg}") from None
    odd = next((row for row in rows if not isinstance(row, dict)), None)
    if odd is not None:
        raise ValueError(f"{str(odd)[:40]!r} is no object of names and values")
    return pd.DataFrame(rows)


def read_parquet(path: Path, said: list[str]) -> pd.DataFrame:
    return pd.read_parquet(path)


def read_arrow(path: Path, said: list[str]) -> pd.DataFrame:
    """Feather and Arrow files, and Arrow streams."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        whole = source.read(6) == b"ARROW1"
        source.seek(0)
        opened = pyarrow.ipc.open_file(source) if whole else pyarrow.ipc.open_stream(source)
        return opened.read_all().to_pandas()


READERS: dict[str, Reader] = {
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".feather": read_arrow,
    ".arrow": read_arrow,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
}
ENDINGS = (".csv", ".tsv", *READERS)
