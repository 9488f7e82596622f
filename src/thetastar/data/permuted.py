"""A source with its inputs shuffled by a fixed permutation: the same task in another alphabet."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.keys import generator
from thetastar.protocols import Batch, Field, Schema, Source
from thetastar.registry import Whole

__all__ = ["permuted"]


class permuted(Source):
    """x ↦ x[π]: one permutation of pixels (the same in all channels) or of a vector's entries for the whole set.

    Args:
        source: whose inputs are shuffled.
        task: chooses π; 0 leaves the inputs in place.

    Source: Goodfellow et al. 2014, An empirical investigation of catastrophic forgetting in gradient-based neural
    networks.
    """

    def __init__(self, *, source: Source, task: Whole = 1) -> None:
        self.source, self.task = source, task
        self.name = f"{source.name} permuted by {task}"
        self.rows, self.given, self.strata = source.rows, source.given, source.strata
        self.groups, self.times = source.groups, source.times
        self.said = [*source.said, f"inputs permuted (task {task})"]

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": {"name": "permuted", "source": "bars"}, "model": {"name": "mlp", "widths": [16]}}

    def prepare(self, train: Any) -> tuple[Schema, dict[str, Tensor]]:
        schema, columns = self.source.prepare(train)
        field = schema.input
        if not isinstance(field, Field) or field.kind not in ("image", "vector"):
            raise UserError(
                "permuted on inputs that are no images or vectors", "images or vectors", "choose another source"
            )
        self.kind = field.kind
        order = self.order(math.prod(field.shape[1:] if field.kind == "image" else field.shape))
        if field.kind == "vector":
            moved = {
                key: tuple(getattr(field, key)[i] for i in order)
                for key in ("mean", "std", "names")
                if getattr(field, key)
            }
            schema = dataclasses.replace(schema, input=dataclasses.replace(field, **moved))
        return schema, {**columns, "input": self.shuffle(columns["input"])}

    def order(self, size: int) -> Tensor:
        return torch.randperm(size, generator=generator("permuted", self.task)) if self.task else torch.arange(size)

    def shuffle(self, x: Tensor) -> Tensor:
        places = x.flatten(2) if self.kind == "image" else x.flatten(1)  # (rows, channels, pixels) or (rows, entries)
        moved = places[..., self.order(places.shape[-1]).to(x.device)].view(x.shape)
        return moved.contiguous(memory_format=torch.channels_last) if self.kind == "image" else moved

    def transform(self, raw: Any) -> Batch:
        batch = self.source.transform(raw)
        return {**batch, "input": self.shuffle(batch["input"])}

    def state(self) -> dict[str, Any]:
        inner = {"name": type(self.source).__name__, **self.source.state()}
        return {"task": self.task, "kind": self.kind, "source": inner}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> permuted:
        source = cls.__new__(cls)
        source.task, source.kind, inner = state["task"], state["kind"], state["source"]
        source.source = registry.load("data", inner["name"]).restore(inner)  # type: ignore[attr-defined]
        return source

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.source.fingerprint} permuted {self.task}".encode()).hexdigest()[:16]
