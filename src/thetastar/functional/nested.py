"""A tensor, or several by name (table, text and image of the same examples), handled as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor


def mapped(act: Callable[[Tensor], Any], x: Any) -> Any:
    """`act` of a tensor, or of each tensor of a mapping, nested ones included."""
    return {name: mapped(act, part) for name, part in x.items()} if isinstance(x, Mapping) else act(x)


def rows_of(x: Any) -> int:
    """Examples: the length of the first tensor that has one."""
    if isinstance(x, Tensor):
        return len(x)
    for part in x.values():
        if isinstance(part, Mapping) or (isinstance(part, Tensor) and part.ndim):
            return rows_of(part)
    raise AssertionError("a batch without tensors")
