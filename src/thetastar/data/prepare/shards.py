"""Parquet files as shards: row groups that are read one by one, and the rows of each that belong to a split."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetastar.data.prepare.splitting import SPLITS
from thetastar.errors import UserError
from thetastar.functional.keys import mix

FOOTER = 1 << 16  # bytes at the end of a file, which hold sizes and statistics of all row groups
BUFFER = 1 << 18  # bytes that are read at a time where a few rows are wanted
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Shard:
    """A row group: its file, its number there, the number of its first row in the whole set, and its rows."""

    file: Path
    group: int
    first: int
    rows: int
    split: str | None  # that the file's name says


class Shards:
    """All row groups of a file or of the Parquet files of a folder.

    Args:
        path: of the file or folder.
        valid, test: shares of the rows held out, where the names of the files give no such split; each shard gives its
            share, so that sorted files leave no class out.
        seed: of the draw.
    """

    def __init__(self, path: Path, valid: float, test: float, seed: int) -> None:
        self.files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not self.files:
            raise UserError(f"{path} holds no Parquet file", "files ending in .parquet", "check the path")
        self.all = list(self._found())
        self.rows = sum(shard.rows for shard in self.all)
        named = {shard.split for shard in self.all}
        self.given = {name for name in named if name} if None not in named and len(named) > 1 else set()
        self.shares = {name: 0.0 if name in self.given else share for name, share in (("test", test), ("valid", valid))}
        if sum(self.shares.values()) >= 1:
            raise UserError(
                f"data.valid={valid:g} and data.test={test:g}", "shares that leave rows to train on", "lower them"
            )
        self.seed = seed

    def _found(self) -> Iterator[Shard]:
        first = 0
        for file in self.files:
            meta = opened(file).metadata
            split = SPLITS.get(re.split(r"[^a-z]", file.stem.lower())[0])
            for group in range(meta.num_row_groups):
                rows = meta.row_group(group).num_rows
                if rows:
                    yield Shard(file, group, first, rows, split)
                    first += rows

    def counts(self, shard: Shard) -> dict[str, int]:
        """How many of its rows each split has: shares of the running total, so that they come out right in sum."""
        if self.given and shard.split != "train":
            return {str(shard.split): shard.rows}
        held = {
            name: int(share * (shard.first + shard.rows)) - int(share * shard.first)
            for name, share in self.shares.items()
        }
        return {**held, "train": shard.rows - sum(held.values())}

    def of(self, shard: Shard, split: str) -> Rows:
        """Places of a split's rows within a shard, ascending: a function of the seed and the shard alone."""
        counts = self.counts(shard)
        if counts.get(split, 0) in (0, shard.rows):
            return np.arange(counts.get(split, 0))
        order = np.random.Generator(np.random.PCG64(mix("split", self.seed, shard.first))).permutation(shard.rows)
        begin = {"test": 0, "valid": counts["test"], "train": counts["test"] + counts["valid"]}[split]
        return np.sort(order[begin : begin + counts[split]])

    def size(self, split: str) -> int:
        return sum(self.counts(shard).get(split, 0) for shard in self.all)

    def read(self, shard: Shard, columns: Sequence[str]) -> Any:
        """A table of some columns of a shard."""
        return opened(shard.file).read_row_group(shard.group, columns=list(columns), use_threads=False)

    def head(self, shard: Shard, columns: Sequence[str], rows: int) -> Any:
        """A table of the first rows of a shard, of which no more is read than the pages that hold them."""
        import pyarrow

        file = opened(shard.file, BUFFER)
        batches = file.iter_batches(rows, [shard.group], columns=list(columns), use_threads=False)
        return pyarrow.Table.from_batches([next(batches)])

    @property
    def fingerprint(self) -> str:
        """Of names, sizes and footers: the content itself may be more than one wants to read twice."""
        digest = hashlib.sha256()
        for file in self.files:
            size = file.stat().st_size
            with file.open("rb") as stream:
                stream.seek(max(0, size - FOOTER))
                digest.update(f"{file.name} {size} ".encode() + stream.read())
        return digest.hexdigest()[:16]


def opened(file: Path, buffer: int = 0) -> Any:
    """A Parquet file, or the one line that says why it is none; columns are read `buffer` bytes at a time, 0 whole."""
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(file, buffer_size=buffer, pre_buffer=False) if buffer else parquet.ParquetFile(file)
    except FileNotFoundError:
        raise UserError(f"{file} does not exist", "a Parquet file", "check the path") from None
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(
            f"cannot read {file}: {getattr(error, 'strerror', None) or error}", "a Parquet file", "check the file"
        ) from None
