"""Activations of blocks computed again in the backward pass instead of being kept: memory for time.

Source: Chen, Xu, Zhang and Guestrin 2016, Training deep nets with sublinear memory cost.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from thetastar.functional.keys import continued

Piece = Callable[..., Any]
LARGEST = 1 / 3  # of the layers of f that one block may hold; a larger one is taken apart


class Part:
    """A function of f's layers, such as a block's forward, whose activations are not kept.

    Args:
        owner: the module whose forward is replaced by this.
        pieces: functions in a row, each with the modules that it runs; each piece keeps its input alone.
    """

    def __init__(self, owner: nn.Module, pieces: Sequence[tuple[Piece, Sequence[nn.Module]]]) -> None:
        self.owner = owner
        self.pieces = [(run, [inner for module in modules for inner in module.modules()]) for run, modules in pieces]

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        (first, modules), *others = self.pieces
        out = unkept(first, modules, *inputs, **named)
        for run, modules in others:
            out = unkept(run, modules, out)
        return out


def unkept(run: Piece, modules: Sequence[nn.Module], *inputs: Any, **named: Any) -> Any:
    """What `run` makes of the inputs; where gradients are wanted its activations are computed again for them."""
    if not torch.is_grad_enabled():
        return run(*inputs, **named)
    contexts = contextlib.nullcontext(), Again(modules)
    return checkpoint(run, *inputs, use_reentrant=False, context_fn=lambda: contexts, **named)


class Again:
    """The second run of a piece: it sees tensors, flags and keys as the first did, and writes no buffer."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.modules = modules
        self.then = [_seen(module) for module in modules]
        self.keys = continued()

    def __enter__(self) -> None:
        self.now = [_seen(module) for module in self.modules]
        for module, (flags, parameters, buffers) in zip(self.modules, self.then, strict=True):
            spare = flags.get("track_running_stats") and flags["training"]  # moments would count the batch twice
            copies = {name: b if b is None or not spare else b.clone() for name, b in buffers.items()}
            _show(module, flags, parameters, copies)
        self.scope = self.keys()
        self.scope.__enter__()

    def __exit__(self, *_: object) -> None:
        self.scope.__exit__(None, None, None)
        for module, seen in zip(self.modules, self.now, strict=True):
            _show(module, *seen)


def _seen(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The flags that forward passes look at, the parameters and the buffers: others may be put in their place."""
    flags = {name: vars(module)[name] for name in ("training", "track_running_stats") if name in vars(module)}
    return flags, dict(module._parameters), dict(module._buffers)


def _show(module: nn.Module, flags: dict[str, Any], parameters: dict[str, Any], buffers: dict[str, Any]) -> None:
    vars(module).update(flags)
    module._parameters.update(parameters)
    module._buffers.update(buffers)


@contextlib.contextmanager
def recomputed(parts: Sequence[Part]) -> Iterator[None]:
    """Forward passes inside keep the inputs of these parts alone; copies made later are not concerned."""
    for part in parts:
        vars(part.owner)["forward"] = part
    try:
        yield
    finally:
        for part in parts:
            del vars(part.owner)["forward"]


def parts_of(f: nn.Module) -> list[Part]:
    """The blocks of f, and stretches of about √n layers of what is a plain row of n of them."""
    return list(_parts(f, LARGEST * _leaves(f)))


def _parts(module: nn.Module, largest: float) -> Iterator[Part]:
    for child in module.children():
        within = list(child.children())
        if not within:
            continue
        plain = not any(list(inner.children()) for inner in within)
        if type(child) is nn.Sequential and plain:
            yield _row(child)
        elif isinstance(child, nn.Sequential | nn.ModuleList | nn.ModuleDict) or (
            not plain and _leaves(child) > largest
        ):
            yield from _parts(child, largest)
        else:
            yield Part(child, [(child.forward, [child])])


def _row(layers: nn.Sequential) -> Part:
    """A row of n layers in about √n pieces of about √n layers."""
    size = math.ceil(math.sqrt(len(layers)))
    pieces = [layers[start : start + size] for start in range(0, len(layers), size)]
    return Part(layers, [(piece, [piece]) for piece in pieces])


def _leaves(module: nn.Module) -> int:
    return sum(not list(layer.children()) for layer in module.modules())
