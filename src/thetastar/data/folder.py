"""Images by class in sub-folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thetastar.data.arrays import arrays
from thetastar.data.parquet_images import content_of
from thetastar.data.prepare.pictures import load
from thetastar.data.prepare.splitting import SPLITS
from thetastar.data.prepare.targets import refuse_singles
from thetastar.errors import UserError
from thetastar.protocols import Source
from thetastar.registry import Count

__all__ = ["folder"]


@dataclass(frozen=True)
class _Item:
    path: Path
    label: str
    split: str | None


def folder(*, path: str, size: Count | None = None) -> Source:
    """Images from sub-folders named by class: path/cat/1.png, or path/train/cat/1.png beside valid and test folders.

    Images of any size and mode are brought to the most common size, grey where all are grey, else colour. Files that
    cannot be read are left out and named. Given splits are kept.

    Args:
        path: of the folder.
        size: of the sides of all images in pixels; null takes the most common size, at most 256 on the longer side.
    """
    where = Path(path).expanduser()
    items, others = _items(where)
    title = where.resolve().name
    names = [str(item.path.relative_to(where)) for item in items]
    said: list[str] = []
    if others:
        more = f" and {len(others) - 5:,} more" if len(others) > 5 else ""
        said.append("left alone as no images: " + ", ".join(str(o.relative_to(where)) for o in others[:5]) + more)
    pictures = load(_Files([item.path for item in items]), names, _content(where, items), size, said)
    kept = [items[number] for number in pictures.kept]
    classes, codes, counts = np.unique([item.label for item in kept], return_inverse=True, return_counts=True)
    refuse_singles([str(name) for name in classes], counts, title)
    given = _given(kept)
    digest = hashlib.sha256(f"{pictures.digest} {content_of(codes)} {list(classes)}".encode()).hexdigest()[:16]
    source = arrays(
        inputs=pictures.images, targets=codes, names=tuple(classes), given=given, title=title, digest=digest
    )
    source.said = [f"classification into {len(classes)} classes, from the names of the sub-folders", *said]
    return source


def _items(where: Path) -> tuple[list[_Item], list[Path]]:
    """Images with their class and split, in the order of their names; and the files that are no images."""
    from PIL import Image

    endings = set(Image.registered_extensions())
    top = _folders(where)
    names = {inner.name.lower(): inner for inner in top}
    if "train" in names and set(names) <= set(SPLITS) and all(_folders(inner) for inner in top):
        groups = [(label, SPLITS[split.name.lower()]) for split in top for label in _folders(split)]
    else:
        groups = [(label, None) for label in top]
    items: list[_Item] = []
    others: list[Path] = []
    for label, split in groups:
        for file in _files(label):
            if file.suffix.lower() in endings:
                items.append(_Item(file, label.name, split))
            else:
                others.append(file)
    if not items:
        raise UserError(
            f"{where} holds no images in sub-folders", "a folder a class: cat/1.png, dog/1.png", "check the path"
        )
    if len({item.label for item in items}) < 2:
        raise UserError(
            f"{where} has images of one class ({items[0].label})", "at least two sub-folders", "add a class"
        )
    return items, others


def _folders(where: Path) -> list[Path]:
    return [inner for inner in _inside(where) if inner.is_dir()]


def _inside(where: Path) -> list[Path]:
    """What a folder holds, by name, hidden files aside."""
    try:
        return sorted(inner for inner in where.iterdir() if not inner.name.startswith("."))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(
            f"cannot read {where}: {reason}", "a folder of images", "check the path and permissions"
        ) from None


def _files(where: Path) -> Iterator[Path]:
    for inner in _inside(where):
        if inner.is_dir():
            yield from _files(inner)
        else:
            yield inner


def _content(where: Path, items: Sequence[_Item]) -> str:
    """A hash of names, sizes and times of change: reading every file would take as long as decoding it."""
    digest = hashlib.sha256(str(where.resolve()).encode())
    for item in items:
        facts = os.stat(item.path)
        digest.update(f"{item.path.relative_to(where)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _given(kept: Sequence[_Item]) -> dict[str, Any] | None:
    splits = np.asarray([item.split or "" for item in kept])
    if kept[0].split is None:
        return None
    return {str(name): np.flatnonzero(splits == name) for name in np.unique(splits)}


class _Files(Sequence[bytes]):
    """Contents of files, each read when it is asked for; a file that may not be read counts as one that cannot be."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: Any) -> bytes:
        try:
            return self.paths[number].read_bytes()
        except PermissionError:
            return b""
