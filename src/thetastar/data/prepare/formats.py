"""Formats of tables: delimited text, JSON lines, both packed or not; Parquet, Arrow."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd

Reader = Callable[[Path, list[str], Collection[str]], pd.DataFrame]
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # how spreadsheets begin what they call Unicode text
GZIP = b"\x1f\x8b"
SEPARATORS = (",", ";", "\t", "|")
HEAD = 1000  # lines by which separator and decimals are chosen
LETTERS = 1_000_000  # of them
BLOCK = 2**20  # bytes
CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f"))  # what no text holds


@dataclass(frozen=True)
class Writing:
    """How a file of text is written: what reads it whole, or in parts."""

    encoding: str
    separator: str
    decimal: str
    names: list[str]

    def options(self, words: Collection[str]) -> dict[str, Any]:
        """For pandas; columns in `words` are not to be read as numbers: 007 is no 7."""
        return {
            "sep": self.separator,
            "decimal": self.decimal,
            "na_values": ["?"],
            "skipinitialspace": True,
            "low_memory": False,
            "dtype": dict.fromkeys([*words, *(name for name in self.names if name.strip() in words)], "str"),
        }

    def named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """With the names as they stand in the file: pandas numbers those that are alike without a word."""
        if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the surplus of every row for an index
            raise ValueError(f"line 2 has more values than the {len(self.names)} names in line 1")
        if len(self.names) == frame.shape[1]:
            frame.columns = pd.Index([name.strip() or own for name, own in zip(self.names, frame.columns, strict=True)])
        return frame


def writing(path: Path, said: list[str]) -> Writing:
    """Of a file with a line of names first: comma, semicolon, tab or | between values, a point or comma of decimals."""
    encoding = encoding_of(path, said)
    with opened(path, encoding) as file:
        head = head_of(file)
    usual = "\t" if ending(path).startswith(".tsv") else ","
    separator = _separator(head, usual)
    if separator != usual:
        said.append(f"columns are separated by {separator!r}")
    decimal = "."
    if separator == ";":  # where a comma is no mark of thousands, even before three digits
        number = r"(?m)(?:^|;)[+-]?\d+{}\d+(?:;|\r?$)"
        commas, points = (re.search(number.format(mark), head) for mark in (",", r"\."))
        decimal = "." if points and not commas else ","
        if commas:
            said.append("numbers have a decimal comma")
    names = next(_values(head, separator), [])
    odd = [name for name in names if re.fullmatch(r"[+-]?\d+[.,]\d+", name.strip())]
    if len(names) > 1 and 2 * len(odd) >= len(names):
        said.append(f"the first line is read as names of columns, though it holds numbers ({', '.join(odd[:3])})")
    return Writing(encoding, separator, decimal, names)


def head_of(file: IO[str]) -> str:
    """The first lines, HEAD of them or as many as hold LETTERS characters, and at least one."""
    lines: list[str] = []
    letters = 0
    for line in itertools.islice(file, HEAD):
        lines.append(line)
        letters += len(line)
        if letters > LETTERS:
            break
    return "".join(lines)


def read_text(path: Path, said: list[str], words: Collection[str]) -> pd.DataFrame:
    """Delimited text. Names stay as they are, several alike too."""
    how = writing(path, said)
    with opened(path, how.encoding) as file:
        frame = how.named(pd.read_csv(file, **how.options(words)))
    if frame.iloc[:, -1:].isna().any(axis=None):
        _say_short(path, how, said)
    return frame


def _say_short(path: Path, how: Writing, said: list[str]) -> None:
    """Rows with fewer values than names read as if the last ones were blank."""
    short: list[int] = []
    inside = False  # of a quoted value that holds the ends of lines
    with opened(path, how.encoding) as file:
        for number, line in enumerate(file, 1):
            quotes = line.count('"')
            if not inside and not quotes and line.strip() and line.count(how.separator) < len(how.names) - 1:
                short.append(number)
            inside ^= bool(quotes % 2)
    if short:
        rows = "1 row has" if len(short) == 1 else f"{len(short):,} rows have"
        said.append(f"{rows} fewer values than there are names, line {short[0]:,} first: the others count as missing")


def opened(path: Path, encoding: str | None = None) -> IO[Any]:
    """A file, packed or not, as text of an encoding or as bytes."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    mode, newline = ("rb", None) if encoding is None else ("rt", "")
    if packed:
        return gzip.open(path, mode, encoding=encoding, newline=newline)  # type: ignore[return-value]
    return path.open(mode, encoding=encoding, newline=newline)


def encoding_of(path: Path, said: list[str]) -> str:
    """UTF-8, UTF-16 by its mark, or what Windows writes in the West, which is said."""
    decoder, clean, zeros = codecs.getincrementaldecoder("utf-8")(), True, False
    with opened(path) as file:
        block = file.read(BLOCK)
        if block.startswith(UTF16):
            return "utf-16"
        try:
            while block:
                clean = clean and block.translate(None, CONTROL) == block
                zeros = zeros or b"\0" in block
                decoder.decode(block)
                block = file.read(BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            if not clean:
                raise
            said.append("the file is not UTF-8: read as Windows-1252")
            return "cp1252"
    if zeros:
        raise ValueError("it holds zero bytes, as no text does")
    return "utf-8-sig"


def _values(text: str, separator: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)


def _separator(head: str, usual: str) -> str:
    """What divides the first lines into as many values each; the usual one where several do, or where none does."""
    for separator in dict.fromkeys((usual, *SEPARATORS)):
        counts = {len(line) for line in itertools.islice(_values(head, separator), 20) if line}
        if len(counts) == 1 and counts != {1}:
            return separator
    first = head.partition("\n")[0]
    return next((separator for separator in (usual, *SEPARATORS) if separator in first), usual)


def read_json(path: Path, said: list[str], words: Collection[str]) -> pd.DataFrame:
    """One object a line, or an array of objects. Keys that a row lacks are missing values."""
    with opened(path, encoding_of(path, said)) as file:
        text: str = file.read()
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


def read_parquet(path: Path, said: list[str], words: Collection[str]) -> pd.DataFrame:
    return pd.read_parquet(path)


def read_arrow(path: Path, said: list[str], words: Collection[str]) -> pd.DataFrame:
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
ENDINGS = (".csv", ".tsv", *READERS, ".csv.gz", ".tsv.gz", ".jsonl.gz", ".ndjson.gz", ".json.gz")


def ending(path: Path) -> str:
    """The ending by which a file's format is known: .csv, or .csv.gz where it is packed."""
    last = path.suffix.lower()
    return "".join(path.suffixes[-2:]).lower() if last == ".gz" else last
