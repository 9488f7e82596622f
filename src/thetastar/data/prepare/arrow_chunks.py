"""Parquet and Arrow in parts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from thetastar.data.prepare.chunks import Columns, Table, reported
from thetastar.data.prepare.reading import distinct_names


class _Columnar(Table):
    """What Arrow reads."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        super().__init__()
        self.path, self.title, self.read = path, str(path), 0
        self.names = [str(name) for name in distinct_names(pd.DataFrame(columns=list(names)), self.said).columns]

    @property
    def done(self) -> int:
        return self.read

    @abstractmethod
    def batches(self, rows: int, places: Sequence[int]) -> Iterator[Any]:
        """Record batches of any length, with the columns at these places."""

    def parts(self, rows: int, used: Columns, keep: Sequence[str] = ()) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        with reported(self.title):
            places = [number for number, name in enumerate(self.names) if name in used or name in keep]
            for block in _exactly(self.batches(rows, places), rows):
                named = block.rename_columns([self.names[place] for place in places])
                # ignore_metadata: an index is a column like others; integer_object_nulls: a gap makes no floats
                frame = named.to_pandas(integer_object_nulls=True, ignore_metadata=True)
                frame.index = pd.RangeIndex(self.read, self.read + len(frame))
                self.read += len(frame)
                yield frame, named.select(list(keep)).to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)


class Parquet(_Columnar):
    """Read by row groups, and of those only the columns that are wanted."""

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self.file = parquet.ParquetFile(path)
        self.raw: list[str] = self.file.schema_arrow.names
        super().__init__(path, self.raw)
        self.total = self.file.metadata.num_rows

    def batches(self, rows: int, places: Sequence[int]) -> Iterator[Any]:
        distinct = len(set(self.raw)) == len(self.raw)
        wanted = [self.raw[place] for place in places] if distinct else None
        for batch in self.file.iter_batches(rows, columns=wanted, use_threads=False):
            yield batch.select(wanted if wanted is not None else list(places))


class Arrow(_Columnar):
    """Feather and Arrow files, and Arrow streams."""

    def __init__(self, path: Path) -> None:
        import pyarrow

        source = pyarrow.memory_map(str(path))
        self.whole = source.read(6) == b"ARROW1"
        source.seek(0)
        self.file = pyarrow.ipc.open_file(source) if self.whole else pyarrow.ipc.open_stream(source)
        super().__init__(path, self.file.schema.names)

    def batches(self, rows: int, places: Sequence[int]) -> Iterator[Any]:
        every = map(self.file.get_batch, range(self.file.num_record_batches)) if self.whole else self.file
        for batch in every:
            yield batch.select(list(places))


def _exactly(batches: Iterator[Any], rows: int) -> Iterator[Any]:
    """Arrow tables of so many rows, fewer at the end."""
    import pyarrow

    held: list[Any] = []
    count = 0
    for batch in batches:
        while len(batch):
            taken = batch.slice(0, rows - count)
            held.append(taken)
            count, batch = count + len(taken), batch.slice(len(taken))
            if count == rows:
                yield pyarrow.Table.from_batches(held)
                held, count = [], 0
    if held:
        yield pyarrow.Table.from_batches(held)
