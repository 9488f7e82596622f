"""Features of examples by a star: what is searched, drawn and probed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from thetastar import registry
from thetastar.data.resident import resident
from thetastar.errors import UserError
from thetastar.functional.keys import seeded
from thetastar.functional.nested import mapped, rows_of
from thetastar.protocols import Batch, Split, Stream
from thetastar.star import Star


def at_hand(stream: Stream) -> resident:
    """The stream that gives rows by their number; those that read from disk do not."""
    inner = getattr(stream, "inner", stream)
    if not isinstance(inner, resident):
        got = f"{type(stream).__name__}, which gives no rows by number"
        raise UserError(got, "data that fit into memory", "choose a smaller part of the data")
    return inner


def numbers_of(stream: Stream, splits: Sequence[Split]) -> Tensor:
    """The numbers of the rows of these splits, as the data were read, ascending and each once."""
    rows = at_hand(stream).rows
    return torch.unique(torch.cat([torch.from_numpy(rows[split]) for split in splits]))


def some_of(stream: Stream, split: Split, count: int) -> Batch:
    """Up to so many examples, evenly over the split: data that are sorted by class show more than one."""
    inner = at_hand(stream)
    rows = torch.from_numpy(inner.rows[split])
    places = torch.linspace(0, max(len(rows) - 1, 0), min(count, len(rows))).round().long()
    return inner.gather(rows[places].to(inner.device))


def batches_of(stream: Stream, rows: Tensor, size: int) -> Iterator[Batch]:
    """These rows as they are, in this order, `size` at a time."""
    inner = at_hand(stream)
    for part in rows.split(size):
        yield inner.gather(part.to(inner.device))


@torch.no_grad()
def embedded(star: Star, inputs: Iterable[Any]) -> Tensor:
    """What the method calls the features of prepared inputs: (rows, width) in float32, on the host."""
    star.program.eval()
    parts: list[Tensor] = []
    for number, x in enumerate(inputs):
        piece = {"input": mapped(lambda part: part.to(star.device), x)}
        with seeded(star.recipe.seed, "features", number):
            out = star.program.method.predict(star.program.f, piece, frozenset({"features"}), star.clock)
        if "features" not in out or out["features"].shape[0] != rows_of(x):
            raise featureless(star)
        parts.append(out["features"].flatten(1).float().cpu())
    return torch.cat(parts)


def featureless(star: Star) -> UserError:
    """This star has no vector for an example."""
    model, method = (registry.as_spec(part, "recipe")["name"] for part in (star.recipe.model, star.recipe.method))
    return UserError(f"a run of {model} with {method}, which gives no features", "a run of a net", "choose another run")
