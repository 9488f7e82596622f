"""The stream for data that fit on the device: shuffled by index, gathered and augmented in one batched call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from thetastar.data.augment.moving import joined
from thetastar.errors import UserError
from thetastar.functional.display import of_stream
from thetastar.functional.keys import generator
from thetastar.functional.nested import mapped
from thetastar.functional.splits import split_rows
from thetastar.functional.subsets import Draw, drawn, mislabelled
from thetastar.protocols import Act, Augment, Batch, Clock, Source, Split, Stream
from thetastar.registry import BelowOne, Count, Whole

__all__ = ["resident"]


class resident(Stream):
    """Batches of a source held on the device (images as uint8, channels last).

    Args:
        source: where the rows come from.
        batch_size: examples a training batch; null chooses 32 to 128 by the size of the training split, all makes the
                whole split one batch.
        valid: share held out for choices, where the source gives no valid split.
        test: share held out and sealed, where the source gives no test split.
        split_seed: of the drawn splits; the same for every seed of a run unless asked otherwise.
        drop_last: leave out the last, smaller training batch.
        keep: how many training rows to learn from; null is all.
        draw: which: a stratified subset (fewer lie within more), a bootstrap sample, or one of the disjoint parts.
        draw_seed: of that draw, and of label noise; the number of the part.
        label_noise: share of the training labels that are made wrong, evenly over the other classes, in [0, 1).
        augment: random changes of the training inputs, one after the other; neighbours that move things are done at
            once.
    """

    def __init__(
        self,
        *,
        source: Source,
        batch_size: Count | Literal["all"] | None = None,
        valid: BelowOne = 0.15,
        test: BelowOne = 0.2,
        split_seed: int = 0,
        drop_last: bool = False,
        keep: Count | None = None,
        draw: Draw = "subset",
        draw_seed: Whole = 0,
        label_noise: BelowOne = 0.0,
        augment: tuple[Augment, ...] = (),
    ) -> None:
        self.source = source
        self.rows = split_rows(
            source.rows, source.strata, source.given, valid, test, split_seed, source.groups, source.times
        )
        if keep is not None or draw != "subset":
            self.rows["train"] = drawn(self.rows["train"], source.strata, keep, draw, draw_seed)
        train = len(self.rows["train"])
        if train < 2:
            raise UserError(
                f"{source.name} leaves {train} rows to train on", "at least 2", "lower data.valid and data.test"
            )
        self.schema, self.columns = source.prepare(self.rows["train"])
        self.said = list(source.said)  # preparation, too, takes decisions
        if label_noise:
            self._spoil(label_noise, draw_seed)
        chosen = train if batch_size == "all" else batch_size
        self.batch_size = min(chosen or (128 if train >= 10_000 else 64 if train >= 1_000 else 32), train)
        self.drop_last, self.augment = drop_last, augment
        self.device = torch.device("cpu")
        self._index = {name: torch.from_numpy(rows) for name, rows in self.rows.items()}
        given = [name for name in self.rows if name in (source.given or {})]
        how = "whole groups" if source.groups is not None else "stratified" if source.strata is not None else "random"
        how = "in order of time" if source.times is not None else f"{how}, split seed {split_seed}"
        how = f"{', '.join(given)} as given" + (f", {how}" if len(given) < 3 else "") if given else how
        counts = " / ".join(f"{len(self.rows[name]):,} {name}" for name in ("train", "valid", "test"))
        self.said.append(f"{counts} examples ({how})")
        augmented(self.sample("train", 2)["input"], augment, "try")  # one that does not suit these inputs says so now

    def _spoil(self, share: float, seed: int) -> None:
        """Make some training labels wrong; all others stay."""
        target = self.schema.target
        if target is None or target.kind != "category" or not target.classes:
            raise UserError(f"data.label_noise={share:g} on a {self.schema.task} task", "classes", "leave it out")
        labels, rows = self.columns["target"].clone(), torch.from_numpy(np.unique(self.rows["train"]))
        clean = labels[rows]
        labels[rows] = mislabelled(clean, target.classes, share, seed)
        self.columns = {**self.columns, "target": labels}
        self.said.append(f"{int((labels[rows] != clean).sum()):,} of {len(rows):,} training labels made wrong")

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint

    def _repr_html_(self) -> str:
        return of_stream(self.source.name, self)

    def size(self, split: Split) -> int:
        return len(self.rows[split])

    def length(self, split: Split) -> int:
        size = self.size(split)
        whole = size // self.batch_size
        return whole if split == "train" and self.drop_last else -(-size // self.batch_size)

    def to(self, device: torch.device) -> None:
        self.device = device
        self.columns = mapped(lambda column: column.to(device), self.columns)

    def order(self, split: Split, t: Clock) -> Tensor:
        """Row numbers in the order of a pass: shuffled by (seed, epoch) for train, as stored otherwise."""
        rows = self._index[split]
        if split != "train":
            return rows
        return rows[torch.randperm(len(rows), generator=generator(t.seed, "order", t.epoch))]

    def batches(self, split: Split, t: Clock, skip: int = 0, act: Act | None = None) -> Iterator[Batch]:
        order = self.order(split, t).to(self.device)
        size = self.batch_size
        for number in range(skip, self.length(split)):
            batch = self.gather(order[number * size : (number + 1) * size])
            yield self.changed(batch, t.seed, "augment", t.epoch, number) if split == "train" else batch

    def changed(self, batch: Batch, *key: int | str) -> Batch:
        """Augmented; a mask moves with its image."""
        if self.augment and self.schema.target is not None and self.schema.target.kind == "mask":
            x, mask = moved_together(batch["input"], batch["target"], self.augment, *key)
            return {**batch, "input": x, "target": mask}
        return {**batch, "input": augmented(batch["input"], self.augment, *key)}

    def gather(self, index: Tensor) -> Batch:
        """The batch of some rows; images become floats in [0, 1], masks whole numbers of 8 bytes as all classes."""
        batch: Batch = mapped(lambda column: take(column, index), self.columns)
        batch["input"] = mapped(in_units, batch["input"])
        if self.schema.target is not None and self.schema.target.kind == "mask":
            batch["target"] = batch["target"].long()
        batch["index"] = index
        return batch

    def examples(self, split: Split) -> Batch:
        """All labelled examples of a split at once, each as it is, in the order in which they are stored."""
        return self.gather(self._index[split].to(self.device))

    def sample(self, split: Split, count: int) -> Batch:
        """The first `count` examples of a split."""
        return self.gather(self._index[split][:count].to(self.device))


def take(column: Tensor, index: Tensor) -> Tensor:
    """Rows of a column. Images are gathered as whole rows of memory, several times faster than indexing four axes."""
    if column.ndim != 4:
        return column.index_select(0, index)
    rows, channels, height, width = column.shape
    flat = column.permute(0, 2, 3, 1).reshape(rows, -1)  # (rows, height · width · channels), a view
    return flat.index_select(0, index).view(-1, height, width, channels).permute(0, 3, 1, 2)


def in_units(x: Tensor) -> Tensor:
    """Bytes as floats in [0, 1]; anything else as it is."""
    return x.to(torch.float32).mul_(1 / 255) if x.dtype == torch.uint8 else x


def augmented(x: Any, augment: tuple[Augment, ...], *key: int | str) -> Any:
    """`x` through each change in turn; all of their randomness is a function of `key`.

    Of several inputs the images alone are changed; where none is an image, all of them.
    """
    if not augment:
        return x
    if isinstance(x, Mapping):
        pictures = [name for name, part in x.items() if part.ndim == 4] or list(x)
        return {**x, **{name: augmented(x[name], augment, *key, name) for name in pictures}}
    source = generator(*key, device=x.device)
    for change in joined(augment):
        x = change(x, source)
    return x


def moved_together(x: Tensor, mask: Tensor, augment: tuple[Augment, ...], *key: int | str) -> tuple[Tensor, Tensor]:
    """Images and their masks through each change in turn; the images are those that `augmented` makes."""
    source = generator(*key, device=x.device)
    for change in joined(augment):
        x, mask = change.together(x, mask, source)
    return x, mask
