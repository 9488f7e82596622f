"""Data larger than memory: read shard by shard, shuffled in windows, decoded ahead of the step that uses it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar.data.arrays import arrays
from thetastar.data.parquet_images import class_names
from thetastar.data.prepare.ahead import ahead
from thetastar.data.prepare.contents import Contents, Images, Numbers, Targets
from thetastar.data.prepare.decoding import Worker, cores
from thetastar.data.prepare.fields import moments
from thetastar.data.prepare.shards import Shard, Shards, opened
from thetastar.data.resident import augmented, in_units
from thetastar.errors import UserError
from thetastar.functional.arrow_columns import file_columns
from thetastar.functional.keys import generator
from thetastar.protocols import Act, Augment, Batch, Clock, Field, Schema, Split, Stream
from thetastar.registry import BelowOne, Count, Whole

__all__ = ["streamed"]

SAMPLE = 10_000  # training rows whose moments stand for those of all
Window = tuple[list[Shard], NDArray[np.int64]]


class streamed(Stream):
    """Batches of Parquet files that are never in memory as a whole.

    The shards (row groups) of the training split are put in a new order every epoch; as many as hold `buffer` rows make
    a window, whose rows are shuffled together. The order is a function of the seed and the epoch alone, so a run goes
    on in the middle of an epoch without reading what came before, and the number of workers changes nothing but speed.
    Write files in random order, or sorted ones with small row groups: rows meet only the rows of their window.

    Args:
        path: of a Parquet file or a folder of them. Names that begin with train, valid or test are those splits; what
            is missing is drawn row by row. An image column {bytes, path} is the input, else all columns of numbers.
        target: the column to predict: whole numbers or words are classes, fractions a number.
        batch_size: examples a training batch; null is 128.
        buffer: rows that are shuffled together, ≥ 1; two such windows are in memory at once, images compressed.
        workers: processes that decode images; null is one a core, 0 decodes beside the training.
        valid: share held out for choices, where no file is named so.
        test: share held out and sealed, where no file is named so.
        split_seed: of the drawn splits.
        size: of the sides of all images in pixels; null takes the most common size of the first.
        drop_last: leave out the last, smaller training batch.
        augment: random changes of the training inputs, one after the other.
    """

    def __init__(
        self,
        *,
        path: str,
        target: str = "label",
        batch_size: Count | None = None,
        buffer: Count = 16_384,
        workers: Whole | None = None,
        valid: BelowOne = 0.15,
        test: BelowOne = 0.2,
        split_seed: int = 0,
        size: Count | None = None,
        drop_last: bool = False,
        augment: tuple[Augment, ...] = (),
    ) -> None:
        where = Path(path).expanduser()
        title = where.stem
        self.shards = Shards(where, valid, test, split_seed)
        self.buffer, self.drop_last, self.augment = buffer, drop_last, augment
        self.device = torch.device("cpu")
        schema = opened(self.shards.files[0]).schema_arrow
        pictures = file_columns(schema)
        self.targets = Targets(self.shards, target, class_names(schema.metadata or {}, target), title)
        self.contents: Contents = (
            Images(self.shards, pictures[0], size, title) if pictures else Numbers(schema, target, title)
        )
        self.batch_size = min(batch_size or 128, self.size("train"))
        if self.batch_size < 2:
            raise UserError(f"{title} leaves {self.size('train')} rows to train on", "at least 2", "lower the shares")
        self.pool = Pool((cores() if workers is None else workers) if pictures else 0)
        mean, std = self._moments(split_seed)
        field = Field(self.contents.kind, self.contents.shape, mean=mean, std=std)
        if not pictures:
            field = replace(field, names=self.contents.columns)
        self.schema = Schema(field, self.targets.field)
        self.source = arrays.restore({"schema": self.schema.to_json()})
        self.source.name = title
        counts = " / ".join(f"{self.size(name):,} {name}" for name in ("train", "valid", "test"))
        drawn = f"split seed {split_seed}" if len(self.shards.given) < 3 else "as given"
        self.said = [
            f"{title}: read in pieces of {len(self.shards.all):,} row groups, shuffled in windows of {buffer:,} rows",
            *self.contents.said,
            f"{counts} examples ({drawn})",
        ]

    @classmethod
    def whole(cls, path: str, target: str) -> int | None:
        """Bytes that all rows would take in memory at once; None for what is not read as a stream.

        Numbers as a table and as a tensor beside it, images decoded, of the size of the first.
        """
        where = Path(path).expanduser()
        files = sorted(where.glob("*.parquet")) if where.is_dir() else [where]
        if not files:
            return None
        try:
            metas = [opened(file).metadata for file in files]
            schema = opened(files[0]).schema_arrow
            rows = sum(meta.num_rows for meta in metas)
            if target not in schema.names or not rows:
                return None
            if pictures := file_columns(schema):
                images = Images(Shards(where, 0.0, 0.0, 0), pictures[0], None, where.stem)
                return rows * math.prod(images.shape)
            return rows * len(Numbers(schema, target, where.stem).columns) * (8 + 4)
        except UserError:  # whoever reads it whole says what is wrong with it
            return None

    def _moments(self, seed: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of the first training rows of an order that the seed draws."""
        parts: list[Tensor] = []
        with closing(self.raw("train", Clock(seed), 0)) as batches:
            for rows in batches:
                parts.append(self.contents.made(rows.inputs, rows.numbers))
                if sum(map(len, parts)) >= SAMPLE:
                    break
        return moments(torch.cat(parts), self.contents.kind)

    @property
    def fingerprint(self) -> str:
        return self.shards.fingerprint

    def size(self, split: Split) -> int:
        return self.shards.size(split)

    def length(self, split: Split) -> int:
        whole, rest = divmod(self.size(split), self.batch_size)
        return whole + (rest > 0 and not (split == "train" and self.drop_last))

    def to(self, device: torch.device) -> None:
        self.device = device

    def windows(self, split: Split, t: Clock) -> Iterator[Window]:
        """Shards that are in memory together, and the order of their rows of the split, as (shard, place) pairs."""
        shards = [shard for shard in self.shards.all if self.shards.counts(shard).get(split)]
        if split == "train":
            order = torch.randperm(len(shards), generator=generator(t.seed, "shards", t.epoch)).tolist()
            shards = [shards[number] for number in order]
        start = number = 0
        while start < len(shards):
            end, rows = start, 0
            while end < len(shards) and (rows < self.buffer or end == start):
                rows += self.shards.counts(shards[end])[split]
                end += 1
            yield shards[start:end], self._order(rows, split, t, number)
            start, number = end, number + 1

    def _order(self, rows: int, split: Split, t: Clock, number: int) -> NDArray[np.int64]:
        if split != "train":
            return np.arange(rows)
        return torch.randperm(rows, generator=generator(t.seed, "window", t.epoch, number)).numpy()

    def raw(self, split: Split, t: Clock, skip: int) -> Generator[Rows]:
        """Batches as they are stored; what is skipped is not read."""
        size, before = self.batch_size, skip * self.batch_size
        left: Rows | None = None
        for shards, order in self.windows(split, t):
            if before >= len(order):
                before -= len(order)
                continue
            window = Rows.joined([self._read(shard, split) for shard in shards])[order[before:]]
            left, before = Rows.joined([left, window]) if left else window, 0
            full = len(left) // size * size
            for start in range(0, full, size):
                yield left[start : start + size]
            left = left[full:]
        if left and not (split == "train" and self.drop_last):
            yield left

    def _read(self, shard: Shard, split: Split) -> Rows:
        places = self.shards.of(shard, split)
        table = self.shards.read(shard, [*self.contents.columns, self.targets.column])
        targets = self.targets.coded(self.targets.read(table, shard)[places])
        return Rows(self.contents.taken(table, places, shard), targets, places + shard.first)

    def batches(self, split: Split, t: Clock, skip: int = 0, act: Act | None = None) -> Iterator[Batch]:
        with closing(ahead(self.pool.made(self.contents, self.raw(split, t, skip)), self.pool.depth)) as found:
            for number, (rows, made) in enumerate(found, skip):
                batch: Batch = {
                    "input": in_units(made().to(self.device, non_blocking=True)),
                    "target": torch.from_numpy(rows.targets).to(self.device, non_blocking=True),
                    "index": torch.from_numpy(rows.numbers).to(self.device, non_blocking=True),
                }
                if split == "train":
                    batch["input"] = augmented(batch["input"], self.augment, t.seed, "augment", t.epoch, number)
                yield batch


@dataclass(frozen=True)
class Rows:
    """Some rows as they are stored: inputs, coded targets, and their numbers in the whole set."""

    inputs: NDArray[Any]
    targets: NDArray[Any]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, part: Any) -> Rows:
        return Rows(self.inputs[part], self.targets[part], self.numbers[part])

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        return Rows(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Rows)))


class Pool:
    """Decoding processes that stay for all passes, each led by a thread; without any, rows are made when read."""

    def __init__(self, workers: int) -> None:
        self.workers, self.depth = workers, 2 * max(workers, 1)
        self.idle: SimpleQueue[Worker] = SimpleQueue()
        self.threads = ThreadPoolExecutor(workers, "decode") if workers else None
        for _ in range(workers):
            self.idle.put(Worker())
        weakref.finalize(self, _closed, self.threads, self.idle, workers)

    def made(self, contents: Contents, batches: Iterator[Rows]) -> Iterator[tuple[Rows, Callable[[], Tensor]]]:
        """Each batch with what gives its inputs, under way already."""
        for rows in batches:
            if self.threads is None:
                made = contents.made(rows.inputs, rows.numbers)
                yield rows, lambda made=made: made
            else:
                yield rows, self.threads.submit(decoded, self.idle, contents, rows).result


def decoded(idle: SimpleQueue[Worker], contents: Contents, rows: Rows) -> Tensor:
    worker = idle.get()
    try:
        return contents.made(rows.inputs, rows.numbers, worker)
    finally:
        idle.put(worker)


def _closed(threads: ThreadPoolExecutor | None, idle: SimpleQueue[Worker], workers: int) -> None:
    if threads:
        threads.shutdown()
    for _ in range(workers):
        idle.get().close()
