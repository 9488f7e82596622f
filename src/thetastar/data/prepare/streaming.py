"""Files and streams opened as tables that are read in parts, by the same decisions as tables that are read whole."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

from thetastar.data.prepare.arrow_chunks import Arrow, Parquet
from thetastar.data.prepare.chunks import Table, reported
from thetastar.data.prepare.formats import GZIP, UTF16, encoding_of, ending, opened, writing
from thetastar.data.prepare.text_chunks import Json, Text
from thetastar.errors import UserError

HEAD = 2**16  # bytes of a stream by which its format is known


def open_table(path: Path) -> Table:
    """By the ending of its name; other files are text."""
    with reported(str(path)):
        size = path.stat().st_size
        if size == 0:
            raise UserError(f"{path} is empty", "a table with a line of column names", "check the file")
        kind = ending(path).removesuffix(".gz")
        if kind in (".parquet", ".pq"):
            return Parquet(path)
        if kind in (".feather", ".arrow"):
            return Arrow(path)
        said: list[str] = []
        if kind in (".jsonl", ".ndjson", ".json"):
            file = opened(path, encoding_of(path, said))
            return Json(file, str(path), said, path)
        how = writing(path, said)
        return Text(opened(path, how.encoding), how, str(path), said, path)


def open_stream(stream: io.BufferedIOBase, head: bytes, title: str) -> Table:
    """What comes in without a name: JSON where it begins with a brace or bracket, else delimited text.

    Args:
        stream: the rest of it.
        head: what was read of it already, with its first line whole.
        title: what messages call it.
    """
    if head[:4] == b"PAR1" or head[:6] == b"ARROW1" or head[:2] == GZIP:
        raise UserError(f"{title} is no text", "CSV or JSON lines", "save it as a file and name that")
    said: list[str] = []
    with reported(title), tempfile.TemporaryDirectory() as folder:
        sample = Path(folder, "head.csv")
        end = head.rfind(b"\n") + 1
        end += end % 2 if head.startswith(UTF16) else 0
        sample.write_bytes(head[:end] or head)
        how = writing(sample, said)
    raw = io.BufferedReader(Replayed(head, stream))
    file = io.TextIOWrapper(raw, how.encoding, newline="")
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        return Json(file, title, [], None)
    return Text(file, how, title, said, None)


def first_bytes(stream: io.BufferedIOBase) -> bytes:
    """The head of a stream, with at least a whole line: enough to see what it is."""
    head = b""
    while (len(head) < HEAD or b"\n" not in head) and (block := stream.read1(HEAD)):
        head += block
    return head


class Replayed(io.RawIOBase):
    """A stream from its beginning, of which the head was read already."""

    def __init__(self, head: bytes, rest: io.BufferedIOBase) -> None:
        self.head, self.rest = memoryview(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, place: Any) -> int:
        if not self.head:
            block = self.rest.read1(len(place))
            place[: len(block)] = block
            return len(block)
        count = min(len(place), len(self.head))
        place[:count], self.head = self.head[:count], self.head[count:]
        return count
