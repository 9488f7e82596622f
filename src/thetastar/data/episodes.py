"""Classification tasks of a few examples, their classes split apart: what is tested was never a class in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from thetastar.data.resident import in_units
from thetastar.errors import UserError
from thetastar.functional.keys import generator
from thetastar.functional.nested import mapped
from thetastar.protocols import Act, Batch, Clock, Field, Schema, Source, Split, Stream
from thetastar.registry import BelowOne, Count

__all__ = ["episodes"]


def episode_batch(support: Batch, query: Batch) -> Batch:
    """Tasks side by side: "support" and "query" of (tasks, shots, …), and the query in one row as "input" and "target".

    The rows are what methods without a notion of tasks learn from, and what measures compare predictions with.
    """
    rows = mapped(lambda value: value.flatten(0, 1), query)
    return {**rows, "support": support, "query": query}


class episodes(Stream):
    """Tasks of `ways` classes, `shots` labelled examples of each, and `queries` more to be judged by.

    Args:
        source: images or vectors with classes; splits that it gives are not used, its classes are split instead.
        ways: classes of a task, ≥ 2.
        shots: labelled examples a class.
        queries: further examples a class.
        tasks: of a batch.
        length: training batches that count as an epoch.
        trials: tasks that a valid or test split holds; always the same ones.
        valid: share of the classes held out for choices, at least `ways` of them.
        test: share of the classes held out and sealed, at least `ways` of them.
        split_seed: of the split of the classes and of the held-out tasks.

    Source: Vinyals et al. 2016, Matching networks for one shot learning.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "maml"}

    def __init__(
        self,
        *,
        source: Source,
        ways: Count = 5,
        shots: Count = 1,
        queries: Count = 15,
        tasks: Count = 4,
        length: Count = 100,
        trials: Count = 100,
        valid: BelowOne = 0.2,
        test: BelowOne = 0.2,
        split_seed: int = 0,
    ) -> None:
        if source.strata is None or ways < 2:
            raise UserError(
                f"episodes of {ways} classes from {source.name}",
                "classes, at least 2 a task",
                "choose a classification set",
            )
        self.source, self.ways, self.shots, self.queries = source, ways, shots, queries
        self.batch_size, self.steps, self.trials, self.split_seed = tasks, length, trials, split_seed
        labels = torch.as_tensor(source.strata)
        self.classes = split_classes(int(labels.max()) + 1, ways, valid, test, split_seed)
        train = torch.isin(labels, self.classes["train"]).nonzero()[:, 0]
        schema, self.columns = source.prepare(train.numpy())
        assert schema.target is not None
        self.schema = Schema(schema.input, Field("category", (), ways))
        self.rows = [(self.columns["target"] == number).nonzero()[:, 0] for number in range(schema.target.classes or 0)]
        least = min(map(len, self.rows))
        if least < shots + queries:
            raise UserError(
                f"a class of {least} examples", f"{shots + queries} for shots and queries", "lower data.queries"
            )
        counts = " / ".join(f"{len(self.classes[name])} {name}" for name in ("train", "valid", "test"))
        self.said = [*source.said, f"tasks of {ways} classes with {shots} examples each; classes split apart: {counts}"]
        self.device = torch.device("cpu")

    @classmethod
    def example(cls) -> dict[str, Any]:
        data = {"name": "episodes", "source": "digits", "ways": 2, "queries": 3, "trials": 5, "length": 10}
        return {"data": data, "model": {"name": "mlp", "widths": [16]}, "method": "maml"}

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint

    def length(self, split: Split) -> int:
        return self.steps if split == "train" else -(-self.trials // self.batch_size)

    def size(self, split: Split) -> int:
        if split != "train" and len(self.classes[split]) == 0:
            return 0
        tasks = self.steps * self.batch_size if split == "train" else self.trials
        return tasks * self.ways * self.queries

    def to(self, device: torch.device) -> None:
        self.device = device
        self.columns = mapped(lambda column: column.to(device), self.columns)

    def batches(self, split: Split, t: Clock, skip: int = 0, act: Act | None = None) -> Iterator[Batch]:
        if not self.size(split):
            return
        for number in range(skip, self.length(split)):
            here = ("train", t.seed, t.rank, t.epoch) if split == "train" else (split, self.split_seed)
            left = self.batch_size if split == "train" else self.trials - number * self.batch_size
            yield self.draw(split, min(self.batch_size, left), generator("episodes", *here, number))

    def draw(self, split: Split, count: int, random: torch.Generator) -> Batch:
        """`count` tasks: classes, then rows of each class, all without repetition within a task."""
        rows = torch.stack([self.task(split, random) for _ in range(count)])  # (tasks, ways, shots + queries)
        labels = torch.arange(self.ways)[None, :, None].expand(rows.shape)
        support, query = rows[..., : self.shots].flatten(1), rows[..., self.shots :].flatten(1)
        return episode_batch(
            self.gather(support, labels[..., : self.shots].flatten(1)),
            self.gather(query, labels[..., self.shots :].flatten(1)),
        )

    def task(self, split: Split, random: torch.Generator) -> Tensor:
        pool = self.classes[split]
        chosen = pool[torch.randperm(len(pool), generator=random)[: self.ways]].tolist()
        need = self.shots + self.queries
        return torch.stack([self.rows[c][torch.randperm(len(self.rows[c]), generator=random)[:need]] for c in chosen])

    def gather(self, rows: Tensor, labels: Tensor) -> Batch:
        x = mapped(lambda column: in_units(column[rows.to(self.device)]), self.columns["input"])
        return {"input": x, "target": labels.to(self.device)}


def split_classes(classes: int, ways: int, valid: float, test: float, seed: int) -> dict[str, Tensor]:
    """Class numbers of train, valid and test: disjoint, each split that is wanted with at least `ways` of them."""
    order = torch.randperm(classes, generator=generator("classes", seed))
    held = {
        name: max(round(share * classes), ways) if share else 0 for name, share in (("valid", valid), ("test", test))
    }
    rest = classes - held["valid"] - held["test"]
    if rest < ways:
        raise UserError(
            f"{classes} classes for tasks of {ways}", f"{ways} in each split", "lower data.ways or set data.test=0"
        )
    found = order.split([rest, held["valid"], held["test"]])
    return {name: part.sort().values for name, part in zip(("train", "valid", "test"), found, strict=True)}
