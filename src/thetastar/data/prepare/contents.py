"""What a row of a shard holds: an image or numbers as the input, and a class or a number as the target."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar.data.prepare import decode
from thetastar.data.prepare.decoding import Worker
from thetastar.data.prepare.pictures import within
from thetastar.data.prepare.shards import Shard, Shards
from thetastar.errors import UserError, nearest
from thetastar.functional.means import RunningSquares
from thetastar.protocols import Field

Rows = NDArray[np.int64]
MEASURED = 256  # images by which the size of all is chosen


class Contents(ABC):
    """The inputs of a shard: first as they are stored, then as tensors."""

    columns: tuple[str, ...]
    kind: str
    shape: tuple[int, ...]
    said: list[str]

    @abstractmethod
    def taken(self, table: Any, rows: Rows, shard: Shard) -> NDArray[Any]:
        """Some rows as they are stored, small and quick to take."""

    @abstractmethod
    def made(self, raw: NDArray[Any], rows: Rows, decoder: Worker | None = None) -> Tensor:
        """(rows, …) of what was taken: bytes for images, channels last in memory; else floats.

        Args:
            raw: as stored.
            rows: their numbers in the whole set, for messages.
            decoder: a process that does the work; None does it here.
        """


class Images(Contents):
    """A column of compressed images, brought to one size."""

    kind = "image"

    def __init__(self, shards: Shards, column: str, size: int | None, title: str) -> None:
        self.columns, self.title = (column,), title
        first = shards.all[0]
        blobs = self.blobs(shards.head(first, self.columns, MEASURED))
        seen = np.asarray([decode.measure(blob.as_py() or b"") for blob in blobs])
        known = seen[seen[:, 2] > 0]
        if len(known) == 0:
            raise UserError(f"{title}: no image in {first.file.name} can be read", "PNG, JPEG, …", "check the file")
        sizes, counts = np.unique(known[:, :2], axis=0, return_counts=True)
        common = tuple(int(side) for side in sizes[counts.argmax()])
        self.size = (size, size) if size else within(common)
        self.depth = int(known[:, 2].max())
        self.shape = (self.depth, self.size[1], self.size[0])
        self.said = [f"images of {self.size[0]}×{self.size[1]}, as most of the first {len(known)}"]

    def blobs(self, table: Any) -> Any:
        return table.column(self.columns[0]).combine_chunks().field("bytes")

    def taken(self, table: Any, rows: Rows, shard: Shard) -> NDArray[Any]:
        blobs, out = self.blobs(table), np.empty(len(rows), object)
        for place, row in enumerate(rows):
            out[place] = blobs[int(row)].as_py() or b""
        return out

    def made(self, raw: NDArray[Any], rows: Rows, decoder: Worker | None = None) -> Tensor:
        (width, height), blobs = self.size, raw.tolist()
        shape = (width, height, self.depth)
        if decoder is None:
            read, out = decode.decode(blobs, *shape)
        else:
            read, out = np.empty(len(raw), np.uint8), np.empty((len(raw), height, width, self.depth), np.uint8)
            decoder.decode(blobs, shape, read, out)
        if not read.all():
            got = f"row {rows[read.argmin()]:,} of {self.title} is no image that can be read"
            raise UserError(got, "PNG, JPEG, … in every row", "take the row out")
        return torch.from_numpy(out).permute(0, 3, 1, 2)


class Numbers(Contents):
    """All columns but the target, as one vector of numbers."""

    kind = "vector"

    def __init__(self, schema: Any, target: str, title: str) -> None:
        import pyarrow

        entries = [field for field in schema if field.name != target]
        types = pyarrow.types
        odd = [f.name for f in entries if not (types.is_integer(f.type) or types.is_floating(f.type))]
        if odd or not entries:
            got = f"{title}: {', '.join(odd[:5]) or 'no column'} {'hold' if len(odd) > 1 else 'holds'} no numbers"
            raise UserError(got, "numbers alone in a stream", "write numbers, or load it whole by data.name=table")
        self.columns = tuple(field.name for field in entries)
        self.shape, self.title, self.said = (len(entries),), title, []

    def taken(self, table: Any, rows: Rows, shard: Shard) -> NDArray[Any]:
        out = np.empty((len(rows), len(self.columns)), np.float32)
        for place, name in enumerate(self.columns):
            column = table.column(name)
            if column.null_count:
                got = f"{self.title} ({shard.file.name}): gaps in column '{name}'"
                raise UserError(got, "a number in every row", "fill them, or load it whole by data.name=table")
            out[:, place] = column.to_numpy()[rows]
        return out

    def made(self, raw: NDArray[Any], rows: Rows, decoder: Worker | None = None) -> Tensor:
        return torch.from_numpy(raw)


class Targets:
    """A column of classes (whole numbers or words) or of numbers with fractions.

    Args:
        shards: whose column is read once, shard by shard.
        column: its name.
        names: of the classes, by whole number; () takes the values themselves.
    """

    def __init__(self, shards: Shards, column: str, names: Sequence[str], title: str) -> None:
        import pyarrow

        self.column, self.title = column, title
        entry = _column(shards, column, title)
        self.classes = not pyarrow.types.is_floating(entry)
        self.field = self._classes(shards, names) if self.classes else self._numbers(shards)

    def _classes(self, shards: Shards, names: Sequence[str]) -> Field:
        """All values there are, and how often each is among the training rows."""
        found: list[tuple[NDArray[Any], NDArray[np.int64]]] = []
        for column, rows in self._columns(shards):
            values, codes = np.unique(column, return_inverse=True)
            found.append((values, np.bincount(codes[rows], minlength=len(values))))
        self.values = np.unique(np.concatenate([values for values, _ in found]))
        if len(self.values) < 2:
            got = f"{self.title}: '{self.column}' has one value"
            raise UserError(got, "at least two classes", "choose another target")
        counts = np.zeros(len(self.values), np.int64)
        for values, often in found:
            counts[np.searchsorted(self.values, values)] += often
        words = tuple(names[int(value)] if names else str(value) for value in self.values)
        return Field("category", (), len(words), words, counts=tuple(counts.tolist()))

    def _numbers(self, shards: Shards) -> Field:
        """Moments of the training rows."""
        seen = RunningSquares()
        for column, rows in self._columns(shards):
            if len(rows):
                seen.take(torch.from_numpy(column[rows].astype(np.float64))[:, None])
        std = math.sqrt(seen.total.item() / max(seen.count, 1))
        return Field("number", (), mean=(seen.mean.item(),), std=(std,))

    def _columns(self, shards: Shards) -> Iterator[tuple[NDArray[Any], Rows]]:
        """The column of each shard, and the places of its training rows."""
        for shard in shards.all:
            yield self.read(shards.read(shard, [self.column]), shard), shards.of(shard, "train")

    def coded(self, column: NDArray[Any]) -> NDArray[Any]:
        """Classes by number, numbers as floats."""
        return np.searchsorted(self.values, column) if self.classes else column.astype(np.float32)

    def read(self, table: Any, shard: Shard) -> NDArray[Any]:
        column = table.column(self.column)
        if column.null_count:
            got = f"{self.title}: no '{self.column}' in {column.null_count:,} rows of {shard.file.name}"
            raise UserError(got, "a target in every row", "drop those rows")
        return np.asarray(column.to_pylist()) if self.classes else column.to_numpy()


def _column(shards: Shards, name: str, title: str) -> Any:
    from pyarrow import parquet

    schema = parquet.read_schema(shards.files[0])
    if name not in schema.names:
        raise UserError(f"{title} has no column '{name}'", "the column to predict", nearest(name, schema.names))
    return schema.field(name).type
