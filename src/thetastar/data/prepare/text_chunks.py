"""Delimited text and JSON in parts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from thetastar.data.prepare.chunks import Columns, Table, reported
from thetastar.data.prepare.formats import Writing, ending
from thetastar.data.prepare.reading import as_floats, distinct_names

PEEK = 1000  # rows of JSON whose keys are the columns
BLOCK = 2**16  # characters
LONGEST = 2**26  # characters of one row of JSON


class _Lines(Table):
    """What is read as text."""

    def __init__(self, file: IO[str], title: str, said: list[str], path: Path | None) -> None:
        self.file, self.title, self.said = file, title, said
        packed = path is None or ending(path).endswith(".gz")
        self.total = None if path is None or packed else path.stat().st_size

    @property
    def done(self) -> int:
        return self.file.buffer.tell() if self.total is not None else 0  # type: ignore[attr-defined]


class Text(_Lines):
    """Delimited text."""

    def __init__(self, file: IO[str], how: Writing, title: str, said: list[str], path: Path | None) -> None:
        super().__init__(file, title, said, path)
        self.how, self.headed = how, True
        raw = [name.strip() or f"Unnamed: {number}" for number, name in enumerate(how.names)]
        self.names = [str(name) for name in distinct_names(pd.DataFrame(columns=raw), said).columns]

    def unnamed(self) -> None:
        """Read a first line of nothing but numbers as a row."""
        if self.how.names and not np.isnan(as_floats(self.how.names)).any():
            self.headed, self.names = False, [str(number) for number in range(1, 1 + len(self.how.names))]

    def parts(self, rows: int, used: Columns, keep: Sequence[str] = ()) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        exact = [name for name in self.names if not used.get(name) or name in keep]
        options = {**self.how.options(()), "dtype": dict.fromkeys(exact, "str"), "names": self.names}
        options |= {"header": 0 if self.headed else None, "chunksize": rows}
        with reported(self.title), pd.read_csv(self.file, **options) as reader:
            for frame in reader:
                if not isinstance(frame.index, pd.RangeIndex):  # the surplus of every row
                    raise ValueError("rows have more values than there are names")
                kept = frame.loc[:, list(keep)]
                for name in (name for name in keep if used.get(name)):
                    frame[name] = frame[name].str.replace(self.how.decimal, ".")
                yield frame, kept


class Json(_Lines):
    """One object a line, or an array of objects."""

    def __init__(self, file: IO[str], title: str, said: list[str], path: Path | None) -> None:
        super().__init__(file, title, said, path)
        self.rows = self._objects()
        with reported(title):
            self.head = list(itertools.islice(self.rows, PEEK))
        raw = list(dict.fromkeys(name for row in self.head for name in row))
        self.names = [str(name) for name in distinct_names(pd.DataFrame(columns=raw), said).columns]

    def parts(self, rows: int, used: Columns, keep: Sequence[str] = ()) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        with reported(self.title):
            every = itertools.chain(self.head, self.rows)
            start = 0
            while block := list(itertools.islice(every, rows)):
                raw = pd.DataFrame(block, index=range(start, start + len(block)), dtype=object)
                frame = distinct_names(raw, []).reindex(columns=self.names)
                start += len(block)
                yield frame, frame.loc[:, list(keep)]

    def _objects(self) -> Iterator[dict[str, Any]]:
        first = self.file.read(1)
        while first and first.isspace():
            first = self.file.read(1)
        for number, row in enumerate(self._array() if first == "[" else self._lines(first), 1):
            if not isinstance(row, dict):
                raise ValueError(f"row {number:,}: {str(row)[:40]!r} is no object of names and values")
            yield row

    def _lines(self, first: str) -> Iterator[Any]:
        for number, line in enumerate(self.file, 1):
            text = first + line if number == 1 else line
            if text.strip():
                try:
                    yield json.loads(text)
                except json.JSONDecodeError as error:
                    raise ValueError(f"line {number:,}: {error.msg}") from None

    def _array(self) -> Iterator[Any]:
        """Each element as soon as it is whole."""
        decoder, text, mark, step = json.JSONDecoder(), "", "", BLOCK
        while True:
            text = text.lstrip()
            found = _decoded(decoder, text[len(mark) :].lstrip()) if text.startswith(mark) else None
            if found is not None:
                value, text = found
                mark, step = ",", BLOCK
                yield value
                continue
            if text.startswith("]"):
                return
            block = self.file.read(step)
            if not block or len(text) > LONGEST:
                raise ValueError(f"the array breaks off or is no JSON at {text[:20]!r}")
            text, step = text + block, step * 2


def _decoded(decoder: json.JSONDecoder, text: str) -> tuple[Any, str] | None:
    """The first value and what follows it; None where it is not whole."""
    try:
        value, end = decoder.raw_decode(text)
    except json.JSONDecodeError:
        return None
    return value, text[end:]
