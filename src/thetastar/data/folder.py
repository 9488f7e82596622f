"""Images by class in sub-folders, or with a table of labels."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from thetastar.data.arrays import arrays
from thetastar.data.parquet_images import content_of
from thetastar.data.prepare.classes import files_below, folders, given_splits, hidden, in_folders, inside, stamp
from thetastar.data.prepare.formats import ENDINGS, ending
from thetastar.data.prepare.labels import Kind, Labelled, names_files, read_labels, shown
from thetastar.data.prepare.pictures import Files, Pictures, load
from thetastar.data.prepare.targets import refuse_singles
from thetastar.errors import UserError
from thetastar.protocols import Source
from thetastar.registry import Count

__all__ = ["folder"]


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
    items, others, empty = in_folders(where, endings(), "images", "png")
    title = where.resolve().name
    if others:
        said.append("left alone as no images: " + shown([str(other.relative_to(where)) for other in others]))
    if unseen := hidden(where, endings()):
        said.append("hidden images left out: " + shown([str(one.relative_to(where)) for one in unseen]))
    if empty:
        said.append("folders without images are no classes: " + shown([str(one.relative_to(where)) for one in empty]))
    pictures = _pictures(where, [item.path for item in items], size, said)
    kept = [items[number] for number in pictures.kept]
    classes, codes, counts = np.unique([item.label for item in kept], return_inverse=True, return_counts=True)
    refuse_singles([str(name) for name in classes], counts, title)
    given = given_splits(kept)
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
    found = [inner for inner in inside(where) if ending(inner) in ENDINGS and inner.is_file()]
    if folders(where):
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


def endings() -> Collection[str]:
    """Of names of images, as Pillow knows them."""
    from PIL import Image

    return set(Image.registered_extensions())
