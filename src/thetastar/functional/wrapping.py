"""What a method needs to stand around another one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.protocols import Aux, Batch, Clock, Method, Model, Move, Objective, Schema, Stream


class Wrapper(Objective):
    """A method that changes how the loss of `inner` is formed, and leaves all else to it."""

    def __init__(self, inner: Method) -> None:
        super().__init__()
        self.inner = objective(inner, type(self).__name__)
        self.reads, self.kinds, self.couples = inner.reads, inner.kinds, inner.couples

    def attach(self, f: Model, schema: Schema) -> None:
        self.inner.attach(f, schema)

    def moves(self, f: Model) -> Sequence[Move]:
        return inner_moves(self.inner, f)

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        return self.inner.predict(f, batch, wants, t)

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        self.inner.observe(f, aux, t)

    def consolidate(self, f: Model, stream: Stream, t: Clock) -> None:
        self.inner.consolidate(f, stream, t)


def objective(inner: Method, wrapper: str) -> Objective:
    """`inner`, where it has one loss; a UserError that names the wrapper where it has not."""
    if not isinstance(inner, Objective):
        name = type(inner).__name__
        raise UserError(
            f"{wrapper} around {name}, which has no single loss", "a method with one loss", "choose supervised"
        )
    return inner


def learns_later(method: Method) -> bool:
    """Whether it, or what it wraps, learns after the last step."""
    if type(method).consolidate is Wrapper.consolidate:
        return learns_later(method.inner)  # type: ignore[arg-type]
    return type(method).consolidate is not Method.consolidate


def inner_moves(inner: Method, f: Model) -> list[Move]:
    """The moves of a method that is `inner` in another, their parameters named as in the Program around both."""

    def rename(name: str) -> str:
        return f"method.inner.{name.removeprefix('method.')}" if name.startswith("method.") else name

    return [
        dataclasses.replace(move, parameters={rename(name): value for name, value in move.parameters.items()})
        for move in inner.moves(f)
    ]


@contextmanager
def uncached_casts() -> Iterator[None]:
    """Autocast inside keeps no cast weights.

    In torch 2.10 a cast that was cached where gradients are off is taken up by the next forward pass and cuts the
    weights off from their gradient.
    """
    was = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(was)
