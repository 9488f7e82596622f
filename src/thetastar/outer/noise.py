"""Quality under Gaussian noise on the inputs: the same noise for every learner."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from thetastar.evaluation import evaluate
from thetastar.functional.keys import generator
from thetastar.protocols import Act, Batch, Clock, Field, Schema, Split, Stream
from thetastar.star import Star

SIGMA = 0.1


def described(schema: Schema) -> str | None:
    """What the noise is, in words; None where inputs take no noise."""
    field = schema.input
    if isinstance(field, Field) and field.kind == "image":
        return f"Gaussian noise of σ = {SIGMA} on pixels in [0, 1]"
    if isinstance(field, Field) and field.kind == "vector" and field.std:
        return f"Gaussian noise of {SIGMA} training standard deviations on every input"
    return None


class Noisy(Stream):
    """A stream whose inputs are x + σ ε, ε ~ N(0, 1) as a function of the batch's number alone."""

    def __init__(self, stream: Stream) -> None:
        self.inner, self.schema, self.batch_size, self.said = stream, stream.schema, stream.batch_size, stream.said

    def length(self, split: Split) -> int:
        return self.inner.length(split)

    def size(self, split: Split) -> int:
        return self.inner.size(split)

    def batches(self, split: Split, t: Clock, skip: int = 0, act: Act | None = None) -> Iterator[Batch]:
        for number, batch in enumerate(self.inner.batches(split, t, skip, act), start=skip):
            yield {**batch, "input": self.add(batch["input"], number)}

    def add(self, x: Tensor, number: int) -> Tensor:
        field = self.schema.input
        assert isinstance(field, Field), "inputs of one tensor"
        noise = torch.randn(x.shape, generator=generator("noise", number)).to(x)
        if field.kind == "image":
            return x + SIGMA * noise
        return x + SIGMA * torch.tensor(field.std).to(x) * noise


def noisy_quality(star: Star, stream: Stream) -> float | None:
    """The first measure on the test split under noise."""
    if described(star.schema) is None:
        return None
    values, _ = evaluate(star.program, Noisy(stream), "test", star.recipe.measures[:1], star.clock)
    return values[star.recipe.measures[0]["name"]]
