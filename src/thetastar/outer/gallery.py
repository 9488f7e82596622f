"""Examples that can be searched or asked with: features, what they are called, and the inputs themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.outer.embedding import at_hand, batches_of, embedded, numbers_of
from thetastar.protocols import Field, Schema, Split, Stream
from thetastar.star import Star
from thetastar.watch import Watch


@dataclass(frozen=True)
class Gallery:
    """Examples in the order of their features.

    Attributes:
        title: what messages call them all.
        noun: what an example is, "row" or "file".
        names: of the examples: the numbers of rows as the data were read, or files.
        labels: classes or numbers in words, "" where there are none.
        classes: numbers of classes, None where the target is none.
        features: (examples, width).
        input_of: the input at a place.
    """

    title: str
    noun: str
    names: Sequence[str]
    labels: Sequence[str]
    classes: Tensor | None
    features: Tensor
    input_of: Callable[[int], Any]

    def __len__(self) -> int:
        return len(self.names)


def splits_of(star: Star, stream: Stream) -> tuple[Split, ...]:
    """What may be looked at: of the data of the run all but test, which is sealed; of other data all."""
    own = stream.fingerprint == star.facts.get("data", stream.fingerprint)
    return ("train", "valid") if own else ("train", "valid", "test")


def of_stream(star: Star, stream: Stream, title: str, rows: Tensor, watch: Watch) -> Gallery:
    """These rows of data, fitted to what the star takes."""
    suits(star.schema, stream.schema, title)
    classes: list[Tensor] = []

    def inputs() -> Iterator[Any]:
        for batch in batches_of(stream, rows, star.rows_at_once):
            if "target" in batch:
                classes.append(batch["target"].cpu())
            watch.step(sum(map(len, classes)), len(rows))
            yield fitted(star.schema, batch["input"])

    features = embedded(star, inputs())
    target = stream.schema.target
    known = torch.cat(classes) if classes and target is not None else None
    labels = [label_of(target, value) for value in known] if known is not None else [""] * len(rows)
    is_class = target is not None and target.kind == "category"

    def input_of(place: int) -> Any:
        return fitted(star.schema, next(batches_of(stream, rows[place : place + 1], 1))["input"])[0]

    names = [str(row) for row in rows.tolist()]
    return Gallery(title, "row", names, labels, known if is_class else None, features, input_of)


def of_parts(star: Star, title: str, parts: Iterable[tuple[Any, Sequence[str]]]) -> Gallery:
    """Raw inputs as the star takes them, part by part with their names; they are kept, so let them be few."""
    assert star.source is not None
    kept: list[Tensor] = []
    names: list[str] = []
    for raw, called in parts:
        if len(called):
            kept.append(star.source.transform(raw)["input"])
            names += called
    if not names:
        raise UserError(f"{title} holds no examples", "at least one", "check the file")
    if not isinstance(kept[0], Tensor):
        raise UserError(f"{title} for a star with several inputs", "one input", "name a row of the data by its number")
    x = torch.cat(kept)
    features = embedded(star, x.split(star.rows_at_once))
    return Gallery(title, "file", names, [""] * len(names), None, features, x.__getitem__)


def row_in(star: Star, stream: Stream, title: str, row: int) -> Tensor:
    """The number of a row that may be looked at."""
    every = at_hand(stream).rows
    known = numbers_of(stream, ("train", "valid", "test"))
    if row not in known:
        raise UserError(f"row {row:,} of {title}", f"0 to {int(known.max()):,}", "choose another row")
    allowed = splits_of(star, stream)
    if "test" not in allowed and row in every["test"]:
        others = numbers_of(stream, allowed)
        near = int(others[(others - row).abs().argmin()])
        raise UserError(f"row {row:,} is in the test split, which is sealed", "a row of train or valid", f"try {near}")
    return torch.tensor([row])


def suits(wanted: Schema, given: Schema, title: str) -> None:
    """Refuse data of another kind, of other channels or of other columns than the star was trained on."""
    if not isinstance(wanted.input, Field) or not isinstance(given.input, Field):
        if wanted.input == given.input:
            return
        raise UserError(f"{title} has several inputs", "the data of the run", "leave --data out")
    own, other = wanted.input, given.input
    same = own.shape == other.shape or (own.kind == other.kind == "image" and own.shape[0] == other.shape[0])
    if own.kind != other.kind or not same:
        got = f"{title} of {other.kind} {'×'.join(map(str, other.shape))}"
        raise UserError(got, f"{own.kind} {'×'.join(map(str, own.shape))}, as trained on", "choose other data")


def fitted(schema: Schema, x: Any) -> Any:
    """Images of another size brought to that of the star."""
    if not isinstance(schema.input, Field) or schema.input.kind != "image" or x.shape[-2:] == schema.input.shape[1:]:
        return x
    return F.interpolate(x.float(), size=schema.input.shape[1:], mode="bilinear", antialias=True, align_corners=False)


def label_of(target: Field | None, value: Tensor) -> str:
    """A class by its name, a number in four digits; "" for what is neither."""
    if target is None or value.ndim or target.kind not in ("category", "number"):
        return ""
    if target.kind == "number":
        return f"{value.item():.4g}"
    return target.names[int(value)] if target.names else str(int(value))
