"""Randomness as a function of what it is for: every draw is keyed, none depends on what ran before.

A *key* is a 63-bit integer mixed from (seed, step, purpose, …). `reseed` makes the default generators continue from
a key; `keyed` hands layers such as dropout a stream of sub-keys that may be a batched tensor, so that each member of
a vmapped population draws exactly the masks that it would draw alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

_MASK = (1 << 63) - 1


def mix(*parts: int | str) -> int:
    """A 63-bit key from integers and words; equal parts give equal keys, in every process."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") & _MASK


def reseed(key: int) -> None:
    """Set the default generators to `key` directly (about 1 µs; `torch.manual_seed` costs a hundred times that)."""
    torch.default_generator.manual_seed(key)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        for generator in torch.cuda.default_generators:
            generator.manual_seed(key)


def generator(*parts: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator of its own for a purpose named by `parts`."""
    return torch.Generator(device=device).manual_seed(mix(*parts))


@contextlib.contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Run a block with the default CPU generator at the key of `parts`, then put its state back."""
    state = torch.default_generator.get_state()
    reseed(mix(*parts))
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


# --- keys as tensors: the stream from which layers draw -------------------------------------------------------------

# Multiplicative hashing on int64 with logical shifts (Stafford 2011, "Better bit mixing", variant 13 of MurmurHash3's
# finaliser).
_C1 = -4658895280553007687  # 0xBF58476D1CE4E5B9 as a signed 64-bit integer
_C2 = -7723592293110705685  # 0x94D049BB133111EB
_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15


def _shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def scramble(x: Tensor) -> Tensor:
    """A bijective hash of int64 values, elementwise; works under vmap."""
    x = (x ^ _shift(x, 30)) * _C1
    x = (x ^ _shift(x, 27)) * _C2
    return x ^ _shift(x, 31)


class keyed:
    """A block in which `next_key` derives from `key`: an integer, or a 0-dim int64 tensor, per member under vmap."""

    __slots__ = ("count", "key")

    def __init__(self, key: int | Tensor) -> None:
        self.key, self.count = key, 0

    def __enter__(self) -> None:
        _scopes.stack.append(self)

    def __exit__(self, *_: object) -> None:
        _scopes.stack.pop()


class _Scopes(threading.local):
    """The blocks that a thread is in."""

    def __init__(self) -> None:
        self.stack: list[keyed] = []


_scopes = _Scopes()


def continued() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """What opens a block in which `next_key` goes on as it would from here, as often as it is called."""
    if not _scopes.stack:
        return contextlib.nullcontext
    key, count = _scopes.stack[-1].key, _scopes.stack[-1].count

    def again() -> keyed:
        scope = keyed(key)
        scope.count = count
        return scope

    return again


def next_key(device: torch.device) -> Tensor:
    """The next sub-key of the current scope; outside any scope, one drawn from the default generator."""
    if not _scopes.stack:
        return torch.randint(_MASK, (), device=device)
    scope = _scopes.stack[-1]
    scope.count += 1
    step = ((scope.count * _GOLDEN + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)  # wrapped to 64 bits, as tensors do
    key = scope.key if isinstance(scope.key, Tensor) else torch.tensor(scope.key)
    return scramble(key.to(device) + step)


_in_graphs: Callable[..., Tensor] | None = None


def opaque() -> None:
    """From here on, compilers take `uniform` for one operation: they reckon with integers that do not wrap."""
    global _in_graphs
    if _in_graphs is None:
        schema = "(Tensor key, SymInt[] shape) -> Tensor"
        _in_graphs = torch.library.custom_op("thetastar::uniform", _uniform, mutates_args=(), schema=schema)
        _in_graphs.register_fake(lambda key, shape: torch.empty(shape, device=key.device))


def _uniform(key: Tensor, shape: Sequence[int]) -> Tensor:
    return uniform(key, tuple(shape), key.device)


def uniform(key: Tensor, shape: torch.Size | tuple[int, ...], device: torch.device) -> Tensor:
    """Uniform float32 numbers in [0, 1) that depend on `key` and the position alone, so vmap over keys is exact."""
    if _in_graphs is not None and torch.compiler.is_compiling():
        return _in_graphs(key, shape)
    count = 1
    for size in shape:
        count *= size
    position = torch.arange(count, device=device, dtype=torch.int64)
    bits = _shift(scramble(position * _GOLDEN + key), 40)  # 24 bits: all that float32 resolves in [0, 1)
    return (bits.to(torch.float32) * (1.0 / (1 << 24))).view(shape)
