"""A tensor, or several by name (table, text and image of the same examples), handled as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


def mapped(act: Callable[[Tensor], Any], x: Any) -> Any:
    """`act` of a tensor, or of each tensor of a mapping, nested ones included."""
    return {name: mapped(act, part) for name, part in x.items()} if isinstance(x, Mapping) else act(x)


def joined(parts: Sequence[Any]) -> Any:
    """Batches of inputs as one, rows after rows."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {name: joined([part[name] for part in parts]) for name in first}
    return torch.cat(list(parts))


def rows_of(x: Any) -> int:
    """Examples: the length of the first tensor that has one."""
    if isinstance(x, Tensor):
        return len(x)
    for part in x.values():
        if isinstance(part, Mapping) or (isinstance(part, Tensor) and part.ndim):
            return rows_of(part)
    raise AssertionError("a batch without tensors")


def divisible(batch: Mapping[str, Any]) -> bool:
    """Whether all tensors of a batch have the same number of rows, so that it can be cut by examples."""
    return len({len(part) for part in _tensors(batch) if part.ndim}) == 1


def cut(batch: Mapping[str, Any], parts: int) -> list[dict[str, Any]]:
    """A batch as `parts` batches of neighbouring rows, as even as can be; no more than there are rows."""
    rows = rows_of(batch)
    parts = min(parts, rows)
    ends = [rows * number // parts for number in range(parts + 1)]
    return [_rows(batch, start, end) for start, end in pairwise(ends)]


def _rows(batch: Mapping[str, Any], start: int, end: int) -> dict[str, Any]:
    def piece(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _rows(value, start, end)
        return value[start:end] if isinstance(value, Tensor) and value.ndim else value

    return {name: piece(value) for name, value in batch.items()}


def _tensors(batch: Mapping[str, Any]) -> Iterator[Tensor]:
    for value in batch.values():
        if isinstance(value, Mapping):
            yield from _tensors(value)
        elif isinstance(value, Tensor):
            yield value
