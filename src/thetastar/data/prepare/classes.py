"""Files by class in sub-folders, cat/1.png or train/cat/1.png."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thetastar.data.prepare.splitting import SPLITS
from thetastar.errors import UserError


@dataclass(frozen=True)
class Item:
    """A file, the class that its folder names, and the split where there are folders of splits."""

    path: Path
    label: str
    split: str | None


def in_folders(
    where: Path, endings: Collection[str], things: str, ending: str
) -> tuple[list[Item], list[Path], list[Path]]:
    """Files with their class and split, in the order of their names; other files; folders without any.

    Args:
        endings: of the files that count.
        things: what they are, for messages, which show one with `ending`.
    """
    top = folders(where)
    names = {inner.name.lower(): inner for inner in top}
    if "train" in names and set(names) <= set(SPLITS) and all(folders(inner) for inner in top):
        groups = [(label, SPLITS[split.name.lower()]) for split in top for label in folders(split)]
    else:
        groups = [(label, None) for label in top]
    items: list[Item] = []
    others = [file for file in inside(where) if not file.is_dir()]
    empty: list[Path] = []
    for label, split in groups:
        below = list(files_below(label, [where.resolve()]))
        if not any(file.suffix.lower() in endings for file in below):
            empty.append(label)
        for file in below:
            if file.suffix.lower() in endings:
                items.append(Item(file, label.name, split))
            else:
                others.append(file)
    if not items:
        raise UserError(
            f"{where} holds no {things} in sub-folders",
            f"a folder a class: cat/1.{ending}, dog/1.{ending}",
            "check the path",
        )
    if len({item.label for item in items}) < 2:
        raise UserError(
            f"{where} has {things} of one class ({items[0].label})", "at least two sub-folders", "add a class"
        )
    return items, others, empty


def folders(where: Path) -> list[Path]:
    return [inner for inner in inside(where) if inner.is_dir()]


def inside(where: Path) -> list[Path]:
    """What a folder holds, by name, hidden files aside."""
    try:
        return sorted(inner for inner in where.iterdir() if not inner.name.startswith("."))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot read {where}: {reason}", "a folder", "check the path and permissions") from None


def files_below(where: Path, above: Sequence[Path] = ()) -> Iterator[Path]:
    """All below a folder; a link back to a folder that it lies in counts as a file."""
    above = [*above, where.resolve()]
    for inner in inside(where):
        if inner.is_dir() and inner.resolve() not in above:
            yield from files_below(inner, above)
        else:
            yield inner


def hidden(where: Path, endings: Collection[str]) -> list[Path]:
    """Files whose names begin with a dot; what lies in hidden folders, as those of programs, is not looked at."""
    found: list[Path] = []
    for place, below, files in os.walk(where):
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [
            Path(place, name) for name in sorted(files) if name.startswith(".") and Path(name).suffix.lower() in endings
        ]
    return [one for one in found if not one.name.startswith("._")]  # these are notes that macOS leaves beside files


def stamp(where: Path, paths: Sequence[Path]) -> str:
    """A hash of names, sizes and times of change: reading every file would take as long as decoding it."""
    digest = hashlib.sha256(str(where.resolve()).encode())
    for path in paths:
        facts = os.stat(path) if path.exists() else os.lstat(path)  # a link may lead nowhere
        digest.update(f"{path.relative_to(where)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def given_splits(kept: Sequence[Item]) -> dict[str, Any] | None:
    splits = np.asarray([item.split or "" for item in kept])
    if kept[0].split is None:
        return None
    return {str(name): np.flatnonzero(splits == name) for name in np.unique(splits)}
