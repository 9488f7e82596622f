"""Quality under Gaussian noise on the inputs: the same noise for every learner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from thetastar.evaluation import evaluate
from thetastar.functional.keys import generator
from thetastar.protocols import Act, Batch, Clock, Field, Schema, Split, Stream
from thetastar.star import Star

SIGMA = 0.1


def described(schema: Schema) -> str | None:
    """What the noise is, in words; None where inputs take no noise."""
    fields = [schema.input] if isinstance(schema.input, Field) else list(schema.input.values())
    if any(field.kind != "image" and not (field.kind == "vector" and field.std) for field in fields):
        return None
    images = sum(field.kind == "image" for field in fields)
    parts = [f"σ = {SIGMA} on pixels in [0, 1]"] if images else []
    what = "every other input" if images else "every input"
    parts += [f"{SIGMA} training standard deviations on {what}"] if images < len(fields) else []
    return f"Gaussian noise of {' and of '.join(parts)}"


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
            yield {**batch, "input": self.add(batch["input"], self.schema.input, number)}

    def add(self, x: Any, field: Field | dict[str, Field], number: int) -> Any:
        if not isinstance(field, Field):
            return {name: self.add(x[name], field[name], number) for name in field}
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
