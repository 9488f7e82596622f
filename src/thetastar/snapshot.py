"""Trees of tensors and JSON values to files and back: safetensors and JSON, with hashes of both."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from thetastar.errors import UserError

_TENSORS, _REST, _SEAL = "tensors.safetensors", "rest.json", "seal.json"


def split_tree(tree: Any, path: str = "") -> tuple[dict[str, Tensor], Any]:
    """Tensors by path, and the tree with {"$tensor": path} in their place."""
    if isinstance(tree, Tensor):
        return {path: tree}, {"$tensor": path}
    if isinstance(tree, Mapping):
        tensors: dict[str, Tensor] = {}
        rest: dict[str, Any] = {}
        for key, value in tree.items():
            found, rest[str(key)] = split_tree(value, f"{path}/{key}" if path else str(key))
            tensors |= found
        return tensors, rest
    if isinstance(tree, list | tuple):
        pairs = [split_tree(value, f"{path}/{i}") for i, value in enumerate(tree)]
        return {k: v for found, _ in pairs for k, v in found.items()}, [rest for _, rest in pairs]
    return {}, tree


def join_tree(tensors: Mapping[str, Tensor], rest: Any) -> Any:
    """The inverse of `split_tree` (tuples come back as lists)."""
    if isinstance(rest, Mapping):
        if set(rest) == {"$tensor"}:
            return tensors[rest["$tensor"]]
        return {key: join_tree(tensors, value) for key, value in rest.items()}
    if isinstance(rest, list):
        return [join_tree(tensors, value) for value in rest]
    return rest


def write_atomic(path: Path, data: bytes) -> None:
    """All of the file or nothing: written beside, synced, renamed."""
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write a safetensors file atomically; return its hash."""
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    data = safetensors.torch.save(whole)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def load_tensors(path: Path, digest: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file; a hash that does not fit is a UserError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "a safetensors file", "check the run folder") from None
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise UserError(
            f"{path} is damaged: its hash is not the recorded one",
            "the file as it was written",
            "restore it from a copy",
        )
    try:
        return safetensors.torch.load(data)
    except Exception as error:
        raise UserError(f"{path} is no safetensors file: {error}", "safetensors", "restore it from a copy") from None


def save_checkpoint(folder: Path, name: str, tree: Mapping[str, Any]) -> None:
    """Write `tree` as folder/name, complete or not at all, and drop older checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{name}.part"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    tensors, rest = split_tree(tree)
    hashes = {_TENSORS: save_tensors(beside / _TENSORS, tensors)}
    data = json.dumps(rest).encode()
    write_atomic(beside / _REST, data)
    hashes[_REST] = hashlib.sha256(data).hexdigest()
    write_atomic(beside / _SEAL, json.dumps(hashes).encode())
    target = folder / name
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)
    for old in checkpoints(folder)[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / _SEAL).is_file())


def load_checkpoint(path: Path) -> dict[str, Any]:
    try:
        hashes = json.loads((path / _SEAL).read_text())
        data = (path / _REST).read_bytes()
        good = hashlib.sha256(data).hexdigest() == hashes[_REST]
    except (OSError, ValueError, KeyError):
        raise UserError(f"{path} is incomplete", "a checkpoint", "delete it and train again") from None
    if not good:
        raise UserError(
            f"{path / _REST} is damaged: its hash is not the recorded one",
            "the file as it was written",
            "delete it and train again",
        )
    return join_tree(load_tensors(path / _TENSORS, hashes[_TENSORS]), json.loads(data))


def cpu_copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    with torch.no_grad():
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
