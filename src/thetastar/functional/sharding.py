"""Tensors that several processes hold together, and the same whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether several processes hold a part each."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """All of a sharded tensor, on every rank; a plain one as it is."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def whole_tree(tree: Any) -> Any:
    """`whole` of every tensor in nested mappings and lists."""
    if isinstance(tree, Tensor):
        return whole(tree)
    if isinstance(tree, Mapping):
        return {name: whole_tree(value) for name, value in tree.items()}
    return [whole_tree(value) for value in tree] if isinstance(tree, list | tuple) else tree


def like(value: Tensor, other: Tensor) -> Tensor:
    """`value` in the memory layout of `other`, sharded as it is."""
    if not is_sharded(other):
        return torch.empty_like(other).copy_(value)
    from torch.distributed.tensor import distribute_tensor

    value = value.to(other.device, other.dtype)
    return distribute_tensor(value, other.device_mesh, other.placements)  # type: ignore[attr-defined]
