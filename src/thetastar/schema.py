"""What goes in and what should come out: all that a model knows of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

TASKS = {
    "category": "classification",
    "categories": "multi-label classification",
    "number": "regression",
    "mask": "segmentation",
}


@dataclass(frozen=True)
class Field:
    """Shape and kind of one input or target, with what the training split says of it.

    Args:
        kind: "image" (channels, height, width), "mask" (height, width) of one of `classes` a pixel, "vector", "words"
            (weights of each in a text), "category" (one of `classes`), "categories" (several of them), "number" (shape
            () or (outputs,)), "waveform" (samples,), "tokens", "state", "action".
        shape: shape of one example, without the batch.
        classes, names: how many categories there are; their names, or those of a vector's entries.
        mean, std: over the training split, per channel or entry; () where they make no sense.
        counts: examples per category in the training split.
        quantiles: of each entry of a vector, edges of bins that hold about equally many training rows.
        rate: samples a second of a waveform.
        blocks: (first, count) of a vector's entries that are one word each, for models that learn vectors of words.
    """

    kind: str
    shape: tuple[int, ...] = ()
    classes: int | None = None
    names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    quantiles: tuple[tuple[float, ...], ...] = ()
    blocks: tuple[tuple[int, int], ...] = ()
    rate: int | None = None


@dataclass(frozen=True)
class Schema:
    """What goes in and what should come out: all that a model knows of the data.

    Args:
        input: one field, or several by name.
        target: of what is to be learnt.
        rows: how many the "index" of a batch can name, for methods that remember examples; 0 where nobody says.
    """

    input: Field | dict[str, Field]
    target: Field | None = None
    rows: int = 0

    @property
    def outputs(self) -> int:
        """How many numbers f must return per example, of a mask per pixel, to speak of the target."""
        if self.target is None:
            return 0
        if self.target.kind in ("category", "categories", "mask", "action"):
            return int(self.target.classes or 0)
        return math.prod(self.target.shape)

    @property
    def task(self) -> str:
        return TASKS.get(self.target.kind, self.target.kind) if self.target else "no target"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Schema:
        def tuples(value: Any) -> Any:
            return tuple(map(tuples, cast("list[Any]", value))) if isinstance(value, list) else value

        def read(entry: Mapping[str, Any]) -> Field:
            return Field(**{key: tuples(value) for key, value in entry.items()})

        entry = state["input"]
        inputs = read(entry) if "kind" in entry else {name: read(value) for name, value in entry.items()}
        return cls(inputs, read(state["target"]) if state.get("target") else None, state.get("rows", 0))
