"""Images by class in sub-folders, or with a table of labels."""

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
from thetastar.data.prepare.formats import ENDINGS, ending
from thetastar.data.prepare.labels import Kind, Labelled, names_files, read_labels, shown
from thetastar.data.prepare.pictures import Files, Pictures, load
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


def folder(
    *,
    path: str,
    size: Count | None = None,
    labels: str | None = None,
    file: str | None = None,
    label: str | None = None,
    mark: str | None = None,
    task: Kind = "auto",
    split_column: str | None = None,
) -> Source:
    """Images by class from sub-folders, path/cat/1.png or path/train/cat/1.png beside valid and test; or by a table.

    A table in the folder, such as labels.csv with columns file and label, gives each image a class, several classes
    (with a mark between them) or a number. Images of any size and mode are brought to the most common size, grey where
    all are grey, else colour. Files that cannot be read are left out and named. Given splits are kept.

    Args:
        path: of the folder.
        size: of the sides of all images in pixels; null takes the most common size, at most 256 on the longer side.
        labels: the table's name; null takes the only table in the folder, where there is one.
        file: its column of files, below the folder.
        label: its column of labels.
        mark: between several labels of an image; null looks for | ; and ,.
        task: "auto" reads what the labels are off them.
        split_column: its column of train, valid and test; null takes one called split, where there is one.
    """
    where = Path(path).expanduser()
    said: list[str] = []
    table = _table(where, labels)
    if table is not None:
        found = read_labels(where, table, file, label, said)
        return _labelled(where, found, table.name, size, mark, task, split_column, said)
    items, others, empty = _items(where)
    title = where.resolve().name
    if others:
        said.append("left alone as no images: " + shown([str(other.relative_to(where)) for other in others]))
    if hidden := _hidden(where):
        said.append("hidden images left out: " + shown([str(one.relative_to(where)) for one in hidden]))
    if empty:
        said.append("folders without images are no classes: " + shown([str(one.relative_to(where)) for one in empty]))
    pictures = _pictures(where, [item.path for item in items], size, said)
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


def _pictures(where: Path, paths: Sequence[Path], size: int | None, said: list[str]) -> Pictures:
    names = [str(path.relative_to(where)) for path in paths]
    return load(Files(paths), names, stamp(where, paths), size, said)


def _table(where: Path, labels: str | None) -> Path | None:
    """The table of labels: as named, else the only one there is; beside folders of classes, where it names files."""
    if labels is not None:
        if not (where / labels).is_file():
            raise UserError(f"no file {where / labels}", "the table of labels", "check data.labels")
        return where / labels
    found = [inner for inner in _inside(where) if ending(inner) in ENDINGS and inner.is_file()]
    if _folders(where):
        found = [one for one in found if names_files(one)]
    if len(found) > 1:
        several = shown([one.name for one in found])
        raise UserError(f"{where} holds several tables ({several})", "one", "set data.labels=…")
    return found[0] if found else None


def _labelled(
    where: Path,
    found: Labelled,
    table: str,
    size: int | None,
    mark: str | None,
    task: Kind,
    split_column: str | None,
    said: list[str],
) -> Source:
    named = set(found.files)
    others = [
        str(file.relative_to(where)) for file in files_below(where) if file != where / table and file not in named
    ]
    if others:
        said.append(f"left out, as {table} does not name them: {shown(others)}")
    pictures = _pictures(where, found.files, size, said)
    first: list[str] = []
    targets, names = found.targets(pictures.kept, task, mark, first)
    words = f"{pictures.digest} {targets.dtype} {targets.tobytes().hex()} {names}"
    source = arrays(
        inputs=pictures.images,
        targets=targets,
        task="classification" if names and targets.ndim == 1 else "multi-label" if names else "regression",
        names=names,
        given=found.given(pictures.kept, split_column),
        title=where.resolve().name,
        digest=hashlib.sha256(words.encode()).hexdigest()[:16],
    )
    source.said = [*first, *said]
    return source


def _items(where: Path) -> tuple[list[_Item], list[Path], list[Path]]:
    """Images with their class and split, in the order of their names; files that are no images; folders without any."""
    from PIL import Image

    endings = set(Image.registered_extensions())
    top = _folders(where)
    names = {inner.name.lower(): inner for inner in top}
    if "train" in names and set(names) <= set(SPLITS) and all(_folders(inner) for inner in top):
        groups = [(label, SPLITS[split.name.lower()]) for split in top for label in _folders(split)]
    else:
        groups = [(label, None) for label in top]
    items: list[_Item] = []
    others = [file for file in _inside(where) if not file.is_dir()]
    empty: list[Path] = []
    for label, split in groups:
        inside = list(files_below(label, [where.resolve()]))
        if not any(file.suffix.lower() in endings for file in inside):
            empty.append(label)
        for file in inside:
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
    return items, others, empty


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


def files_below(where: Path, above: Sequence[Path] = ()) -> Iterator[Path]:
    """All below a folder; a link back to a folder that it lies in counts as a file."""
    above = [*above, where.resolve()]
    for inner in _inside(where):
        if inner.is_dir() and inner.resolve() not in above:
            yield from files_below(inner, above)
        else:
            yield inner


def _hidden(where: Path) -> list[Path]:
    """Images whose names begin with a dot; what lies in hidden folders, as those of programs, is not looked at."""
    from PIL import Image

    endings = set(Image.registered_extensions())
    found: list[Path] = []
    for place, folders, files in os.walk(where):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
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


def _given(kept: Sequence[_Item]) -> dict[str, Any] | None:
    splits = np.asarray([item.split or "" for item in kept])
    if kept[0].split is None:
        return None
    return {str(name): np.flatnonzero(splits == name) for name in np.unique(splits)}
