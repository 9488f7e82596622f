"""Sine waves as tasks: the toy of meta-learning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from thetastar.data.episodes import episode_batch
from thetastar.functional.keys import generator
from thetastar.protocols import Act, Batch, Clock, Field, Schema, Split, Stream
from thetastar.registry import Count, Whole

__all__ = ["sinusoids"]

AMPLITUDE, PHASE, REACH = (0.1, 5.0), (0.0, math.pi), 5.0


class sinusoids(Stream):
    """Regression tasks y = A sin(x − φ), A ~ U[0.1, 5], φ ~ U[0, π], x ~ U[−5, 5]: one wave a task.

    Args:
        shots: labelled points of a task.
        queries: further points of the same wave.
        tasks: of a batch.
        length: training batches that count as an epoch.
        trials: tasks that the valid and test splits hold; always the same ones.
        seed: of the held-out tasks.

    Shapes: "support" and "query" hold "input" (tasks, shots, 1) and "target" (tasks, shots).

    Source: Finn, Abbeel and Levine 2017, Model-agnostic meta-learning for fast adaptation of deep networks,
    section 5.1.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "maml"}

    def __init__(
        self,
        *,
        shots: Count = 10,
        queries: Count = 10,
        tasks: Count = 25,
        length: Count = 100,
        trials: Count = 100,
        seed: Whole = 0,
    ) -> None:
        self.shots, self.queries, self.batch_size = shots, queries, tasks
        self.steps, self.trials, self.seed = length, trials, seed
        # moments of the distribution itself: x is uniform, E[y] is taken as 0 and E[y²] = E[A²] / 2
        low, high = AMPLITUDE
        spread = math.sqrt((high**3 - low**3) / (3 * (high - low)) / 2)
        self.schema = Schema(
            Field("vector", (1,), mean=(0.0,), std=(REACH / math.sqrt(3),)),
            Field("number", (), mean=(0.0,), std=(spread,)),
        )
        self.said = [f"regression tasks of {shots} points each, one sine wave a task"]
        self.device = torch.device("cpu")

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": {"name": "sinusoids", "trials": 10}, "model": {"name": "mlp", "widths": [16]}, "method": "maml"}

    @property
    def fingerprint(self) -> str:
        return f"sinusoids-{self.seed}"

    def length(self, split: Split) -> int:
        return self.steps if split == "train" else -(-self.trials // self.batch_size)

    def size(self, split: Split) -> int:
        return (self.steps * self.batch_size if split == "train" else self.trials) * self.queries

    def to(self, device: torch.device) -> None:
        self.device = device

    def batches(self, split: Split, t: Clock, skip: int = 0, act: Act | None = None) -> Iterator[Batch]:
        for number in range(skip, self.length(split)):
            here = ("train", t.seed, t.rank, t.epoch) if split == "train" else (split, self.seed)
            left = self.batch_size if split == "train" else self.trials - number * self.batch_size
            yield self.draw(min(self.batch_size, left), generator("sinusoids", *here, number))

    def draw(self, count: int, random: torch.Generator) -> Batch:
        def between(low: float, high: float, *shape: int) -> Tensor:
            return (low + (high - low) * torch.rand(shape, generator=random)).to(self.device)

        amplitude, phase = between(*AMPLITUDE, count, 1), between(*PHASE, count, 1)
        x = between(-REACH, REACH, count, self.shots + self.queries)
        y = amplitude * torch.sin(x - phase)  # (tasks, shots + queries)
        support = {"input": x[:, : self.shots, None], "target": y[:, : self.shots]}
        return episode_batch(support, {"input": x[:, self.shots :, None], "target": y[:, self.shots :]})
