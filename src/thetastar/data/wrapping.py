"""Streams around a resident one: what they share beside the training batches that each makes in its own way."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import torch

from thetastar.data.augment.crop import crop
from thetastar.data.augment.cutout import cutout
from thetastar.data.augment.noise import noise
from thetastar.data.augment.rand_augment import rand_augment
from thetastar.data.resident import augmented, resident
from thetastar.errors import UserError
from thetastar.functional.display import of_stream
from thetastar.protocols import Act, Augment, Batch, Clock, Field, Schema, Source, Split, Stream

__all__: list[str] = []

NOISE, STRONGER = 0.1, 4


class Wrapping(Stream):
    """A resident stream whose training batches are made anew; valid and test pass through untouched.

    Args:
        inner: the stream within, its training batches all of one size.
        augment: changes that make a view; None chooses by the kind of input.
    """

    def __init__(self, inner: resident, augment: tuple[Augment, ...] | None) -> None:
        self.inner, self.schema, self.batch_size = inner, inner.schema, inner.batch_size
        self.augment = default_augment(self.schema) if augment is None else augment
        if self.batch_size < 2:
            raise UserError("batches of one example", "at least 2 to compare", "raise data.batch_size")
        tried(inner, self.augment)
        self.said = [*inner.said, f"views of an example differ by {named(self.augment)}"]

    @property
    def source(self) -> Source:
        return self.inner.source

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    def _repr_html_(self) -> str:
        return of_stream(f"{type(self).__name__} of {self.source.name}", self)

    def size(self, split: Split) -> int:
        return self.inner.size(split)

    def length(self, split: Split) -> int:
        return self.inner.length(split)

    def to(self, device: torch.device) -> None:
        self.inner.to(device)

    def examples(self, split: Split) -> Batch:
        """All labelled examples of a split at once, each as it is, in the order in which they are stored."""
        return self.inner.examples(split)

    def sample(self, split: Split, count: int) -> Batch:
        """The first `count` examples of a split."""
        return self.inner.sample(split, count)

    def batches(self, split: Split, t: Clock, skip: int = 0, act: Act | None = None) -> Iterator[Batch]:
        return self.training(t, skip) if split == "train" else self.inner.batches(split, t, skip)

    @abstractmethod
    def training(self, t: Clock, skip: int) -> Iterator[Batch]:
        """One pass over the training split, from batch `skip` on."""


def default_augment(schema: Schema) -> tuple[Augment, ...]:
    """Crop and noise for images, noise for vectors: changes that hardly ever change what an example is.

    Noise on a vector is a tenth of each entry's standard deviation in train, whatever its unit.
    """
    return (crop(), noise()) if has_images(schema) else (noise(std=usual_noise(schema, 1)),)


def strong_augment(schema: Schema) -> tuple[Augment, ...]:
    """Changes that a person sees through, and a net must learn to: of images many kinds, on vectors more noise."""
    return (crop(), rand_augment(), cutout()) if has_images(schema) else (noise(std=usual_noise(schema, STRONGER)),)


def usual_noise(schema: Schema, times: float) -> float | tuple[float, ...]:
    if isinstance(schema.input, Field) and schema.input.kind == "vector" and schema.input.std:
        return tuple(times * NOISE * std for std in schema.input.std)
    return times * NOISE


def has_images(schema: Schema) -> bool:
    fields = [schema.input] if isinstance(schema.input, Field) else schema.input.values()
    return any(field.kind == "image" for field in fields)


def tried(inner: resident, augment: tuple[Augment, ...]) -> None:
    """Changes that do not suit these inputs say so now."""
    augmented(inner.sample("train", 2)["input"], augment, "try")


def named(augment: tuple[Augment, ...]) -> str:
    """Changes in words."""
    return " and ".join(type(change).__name__ for change in augment) or "nothing"
