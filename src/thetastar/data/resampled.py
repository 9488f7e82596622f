"""A draw of the training rows for each member of a population."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from thetastar.data.resident import resident
from thetastar.data.wrapping import Wrapping
from thetastar.errors import UserError
from thetastar.functional.executing import MEMBERS
from thetastar.functional.keys import generator
from thetastar.functional.nested import mapped
from thetastar.functional.subsets import Rows, drawn, mislabelled
from thetastar.protocols import Augment, Batch, Clock, Source, Split
from thetastar.registry import BelowOne, Count, Whole

__all__ = ["resampled"]


class resampled(Wrapping):
    """Training batches {"members": {"input", "target", "index"}} of (members, batch, …): a draw of rows for each.

    Member k learns from what `resident` draws with seed draw_seed + k, in the order of the run. All draws have the same
    size. Preparation is fitted on the whole training split, for all members alike; valid and test are as they are.

    Args:
        source: where the rows come from.
        members: K ≥ 1.
        draw: with replacement; all rows but the k-th of K folds; the k-th of disjoint parts; or a stratified subset.
        keep: rows of a draw; null is all, of a part a K-th, and of folds what is left.
        draw_seed: of the first member's draw and label noise.
        label_noise: share of the labels that each draw has wrong, evenly over the other classes, in [0, 1).
        batch_size: examples a member and batch; null chooses by the size of the training split.
        valid: share held out for choices, where the source gives no valid split.
        test: share held out and sealed, where the source gives no test split.
        split_seed: of the drawn splits.
        augment: random changes of the training inputs, one after the other.

    Source: Breiman 1996, Bagging predictors.
    """

    def __init__(
        self,
        *,
        source: Source,
        members: Count = 8,
        draw: Literal["bootstrap", "fold", "part", "subset"] = "bootstrap",
        keep: Count | None = None,
        draw_seed: Whole = 0,
        label_noise: BelowOne = 0.0,
        batch_size: Count | None = None,
        valid: BelowOne = 0.15,
        test: BelowOne = 0.2,
        split_seed: int = 0,
        augment: tuple[Augment, ...] = (),
    ) -> None:
        inner = resident(
            source=source, batch_size=batch_size, valid=valid, test=test, split_seed=split_seed, augment=augment
        )
        super().__init__(inner, augment)
        self.said.pop()  # no views here
        self.companions: Mapping[str, Any] = {"method": {"name": "population", "members": members}}  # type: ignore[misc]
        rows, seeds = inner.rows["train"], range(draw_seed, draw_seed + members)
        if draw == "fold":
            _refuse_fold(keep, members, len(rows))
            parts = [drawn(rows, source.strata, len(rows) // members, "part", k) for k in range(members)]
            found = [np.setdiff1d(rows, part) for part in parts]
        elif draw == "part":
            size = keep or max(len(rows) // members, 1)
            found = [drawn(rows, source.strata, size, "part", seed) for seed in seeds]
        else:
            found = [drawn(rows, source.strata, keep, draw, seed) for seed in seeds]
        self.rows = torch.from_numpy(np.stack(found))  # (members, rows of a draw)
        self.labels = self._labels(found, seeds, label_noise)
        self.batch_size = min(self.batch_size, self.rows.shape[1])
        self.said.append(f"{members} members learn from {self.rows.shape[1]:,} rows each ({draw})")

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {
            "data": {"name": "resampled", "source": "bars", "members": 3},
            "model": {"name": "mlp", "widths": [16]},
            "method": {"name": "population", "members": 3, "execution": "stacked"},
        }

    def _labels(self, found: list[Rows], seeds: range, share: float) -> Tensor | None:
        """Labels of all rows with each member's own mistakes, (members, all rows); None where there are none."""
        if not share:
            return None
        target = self.schema.target
        if target is None or target.kind != "category" or not target.classes:
            raise UserError(f"data.label_noise={share:g} on a {self.schema.task} task", "classes", "leave it out")
        labels = self.inner.columns["target"].repeat(len(found), 1)
        for own, rows, seed in zip(labels, found, seeds, strict=True):
            places = torch.from_numpy(np.unique(rows))
            own[places] = mislabelled(own[places], target.classes, share, seed)
        return labels

    def size(self, split: Split) -> int:
        return self.rows.shape[1] if split == "train" else self.inner.size(split)

    def length(self, split: Split) -> int:
        return -(-self.size("train") // self.batch_size) if split == "train" else self.inner.length(split)

    def to(self, device: torch.device) -> None:
        self.inner.to(device)
        self.rows = self.rows.to(device)
        self.labels = self.labels.to(device) if self.labels is not None else None

    def training(self, t: Clock, skip: int) -> Iterator[Batch]:
        members, count = self.rows.shape
        order = torch.randperm(count, generator=generator(t.seed, "order", t.epoch)).to(self.rows.device)
        for number in range(skip, self.length("train")):
            index = self.rows[:, order[number * self.batch_size : (number + 1) * self.batch_size]]
            batch = self.inner.changed(self.inner.gather(index.flatten()), t.seed, "augment", t.epoch, number)
            batch = mapped(lambda part: part.unflatten(0, (members, -1)), batch)
            if self.labels is not None:
                batch["target"] = self.labels.gather(1, index)
            yield Parts({MEMBERS: batch})


class Parts(dict[str, Any]):
    """A batch that has nothing but a part for each member."""

    def __missing__(self, key: str) -> Any:
        raise UserError(f"'{key}' of data that are drawn for each member", "a population", "write method=population")


def _refuse_fold(keep: int | None, members: int, rows: int) -> None:
    if keep is not None:
        raise UserError(f"data.keep={keep} with folds", "all rows but a fold", "leave data.keep out")
    if not 2 <= members <= rows:
        raise UserError(f"{members} folds of {rows:,} rows", f"2 to {rows:,}", "change data.members")
