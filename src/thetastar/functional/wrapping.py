"""What a method needs to stand around another one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thetastar.errors import UserError
from thetastar.protocols import Method, Model, Move, Objective


def objective(inner: Method, wrapper: str) -> Objective:
    """`inner`, where it has one loss; a UserError that names the wrapper where it has not."""
    if not isinstance(inner, Objective):
        name = type(inner).__name__
        raise UserError(
            f"{wrapper} around {name}, which has no single loss", "a method with one loss", "choose supervised"
        )
    return inner


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
