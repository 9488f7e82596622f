"""The batches of several seeds side by side: what each member of a population would be given alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from thetastar.data.resampled import Parts
from thetastar.data.resident import resident
from thetastar.data.wrapping import Wrapping
from thetastar.functional.executing import MEMBERS
from thetastar.functional.nested import mapped
from thetastar.protocols import Act, Batch, Clock, Split, Stream

__all__: list[str] = []


class Seeded(Stream):
    """Training batches {"members": {"input", "target", "index", …}} of (seeds, batch, …) around another stream.

    Part k is the batch that the stream gives a run with seed s_k: its order, its augmentation. Valid and test are as
    they are.

    Args:
        inner: resident, or around a resident stream: all seeds have the same rows in another order.
        seeds: s_1, …, s_K.
    """

    def __init__(self, inner: resident | Wrapping, seeds: Sequence[int]) -> None:
        self.inner, self.seeds = inner, tuple(seeds)
        self.schema, self.batch_size, self.said = inner.schema, inner.batch_size, inner.said

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    def size(self, split: Split) -> int:
        return self.inner.size(split)

    def length(self, split: Split) -> int:
        return self.inner.length(split)

    def to(self, device: torch.device) -> None:
        self.inner.to(device)

    def batches(self, split: Split, t: Clock, skip: int = 0, act: Act | None = None) -> Iterator[Batch]:
        if split != "train":
            return self.inner.batches(split, t, skip)
        clocks = [replace(t, seed=seed) for seed in self.seeds]
        if isinstance(self.inner, resident) and not self.inner.augment:
            return gathered(self.inner, clocks, skip)
        every = zip(*(self.inner.batches(split, clock, skip) for clock in clocks), strict=True)
        return (Parts({MEMBERS: beside(batches)}) for batches in every)


def gathered(inner: resident, clocks: Sequence[Clock], skip: int) -> Iterator[Batch]:
    """The rows of all seeds fetched in one call a batch: nothing is changed that would have to be drawn for each."""
    order = torch.stack([inner.order("train", clock) for clock in clocks]).to(inner.device)
    for number in range(skip, inner.length("train")):
        index = order[:, number * inner.batch_size : (number + 1) * inner.batch_size]
        batch = inner.gather(index.flatten())
        yield Parts({MEMBERS: mapped(lambda part, shape=index.shape: part.unflatten(0, shape), batch)})


def beside(batches: Sequence[Any]) -> Any:
    """Batches of one shape as one, stacked along a new first axis."""
    if isinstance(batches[0], Mapping):
        return {name: beside([batch[name] for batch in batches]) for name in batches[0]}
    assert all(isinstance(batch, Tensor) for batch in batches)
    return torch.stack(list(batches))
