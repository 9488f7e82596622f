"""Decoded images kept between runs, by content: the same files are decoded once, a damaged entry is made again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def cache_folder() -> Path:
    """$THETASTAR_CACHE, else thetastar in the user's cache folder."""
    if own := os.environ.get("THETASTAR_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "thetastar"


def cached(
    key: str, make: Callable[[], tuple[Tensor, dict[str, Any]]], said: list[str]
) -> tuple[Tensor, dict[str, Any], str]:
    """A tensor, what is noted beside it (JSON) and its hash: read from the cache where it is there, else made and kept.

    A tensor that is read stays in its file and comes into memory as it is used.
    """
    path = cache_folder() / f"{key}.safetensors"
    if path.is_file():
        try:
            return _read(path)
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            said.append(f"the cache {path} was damaged ({error}) and is made again")
    tensor, notes = make()
    digest = _hash(tensor)
    try:
        _write(path, tensor, {"notes": json.dumps(notes), "sha256": digest})
    except (OSError, SafetensorError) as error:
        said.append(f"the cache {path} cannot be written ({error}): the next start decodes again")
    return tensor, notes, digest


def _read(path: Path) -> tuple[Tensor, dict[str, Any], str]:
    with safe_open(path, framework="pt") as file:
        entry, tensor = file.metadata() or {}, file.get_tensor("data")
    if _hash(tensor) != entry["sha256"]:
        raise ValueError("its hash differs")
    return tensor, json.loads(entry["notes"]), entry["sha256"]


def _write(path: Path, tensor: Tensor, entry: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        save_file({"data": tensor}, part, metadata=entry)
        os.replace(part, path)  # whole or not at all, also for another process that reads meanwhile
    finally:
        part.unlink(missing_ok=True)


def _hash(tensor: Tensor) -> str:
    assert tensor.dtype == torch.uint8
    shape = str(tuple(tensor.shape)).encode()
    return hashlib.sha256(shape + hashlib.sha256(tensor.numpy().data).digest()).hexdigest()[:16]
