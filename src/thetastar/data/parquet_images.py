"""Images with labels in Parquet files, as the hub stores them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from thetastar.data.arrays import arrays
from thetastar.data.prepare.masked import masked
from thetastar.data.prepare.masks import Legend
from thetastar.data.prepare.pictures import Pictures, load
from thetastar.data.prepare.reading import content_hash
from thetastar.data.prepare.splitting import SPLITS
from thetastar.data.prepare.targets import refuse_singles
from thetastar.errors import UserError, nearest
from thetastar.functional.arrow_columns import file_columns
from thetastar.protocols import Source
from thetastar.registry import Count

__all__ = ["parquet_images"]


def parquet_images(
    *,
    path: str | tuple[str, ...],
    label: str | None = None,
    size: Count | tuple[Count, Count] | None = None,
    void: Annotated[int, Ge(0)] | None = None,
    splits: dict[str, str] | None = None,
    title: str | None = None,
) -> Source:
    """Images by class from a Parquet file, several, or a folder of them: `image: {bytes, path}` and a column of labels.

    A file whose name begins with train, valid (validation, val, dev) or test is that split; shards of a split add up.
    Class names come from the file's metadata. Images stay bytes, in the given size or the most common one.

    A column of labels that holds images, `mask: {bytes, path}`, gives every pixel a class by its index. classes.txt in
    the folder names the indices from 0 on; pixels of index 255, and of one called void there, count for nothing.

    Args:
        path: of the file or the folder, or of each file.
        label: the column of labels, whole numbers, words or masks; null takes label, or mask where there is no other.
        size: of the sides of all images in pixels, or [width, height]; null takes the most common size.
        void: the index of masks that counts for nothing beside 255; null takes the one that is called void.
        splits: what a split of the files' names is used as, for example {valid: test}.
        title: what messages call the data.
    """
    several = [path] if isinstance(path, str) else path
    where = Path(several[0]).expanduser()
    files = sorted(where.glob("*.parquet")) if where.is_dir() else [Path(one).expanduser() for one in several]
    title = title or where.stem
    said: list[str] = []
    parts = [_Part(file, label, title) for file in files]
    if not parts:
        raise UserError(f"{where} holds no Parquet file", "files ending in .parquet", "check the path")
    images = _Bytes([part.images for part in parts])
    if len(images) == 0:
        raise UserError(f"{title} has no rows", "at least one image", "check the files")
    content = hashlib.sha256(" ".join(content_hash(file) for file in files).encode()).hexdigest()
    rows = [f"row {number} of {part.file.name}" for part in parts for number in range(len(part.images))]
    pictures = load(images, rows, content, size, said)
    given = _given(parts, pictures.kept, splits or {})
    labels = parts[0].label
    if parts[0].masks is not None:
        blobs = _Bytes([part.masks for part in parts if part.masks is not None])
        legend = Legend.beside(where if where.is_dir() else where.parent, void)
        source = masked(pictures, blobs, images, rows, content, legend, given, title)
    else:
        source = _labelled(parts, pictures, given, title)
    first = source.said[0].replace("integer target", f"column {labels!r}").replace("masks", f"column {labels!r}", 1)
    source.said = [f"{title}: {first}", *source.said[1:], *said]
    return source


def _labelled(parts: Sequence[_Part], pictures: Pictures, given: dict[str, Any] | None, title: str) -> Source:
    labels = np.concatenate([part.labels for part in parts])[pictures.kept]
    names, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    words = [parts[0].names[int(name)] if parts[0].names else str(name) for name in names]
    refuse_singles(words, counts, title)
    digest = hashlib.sha256(f"{pictures.digest} {content_of(codes)}".encode()).hexdigest()[:16]
    return arrays(
        inputs=pictures.images, targets=codes.reshape(-1), names=tuple(words), given=given, title=title, digest=digest
    )


def content_of(codes: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(codes, np.int64).tobytes()).hexdigest()


class _Part:
    """One file: compressed images (not copied), labels or masks, class names, and the split that its name says."""

    def __init__(self, file: Path, label: str | None, title: str) -> None:
        import pyarrow
        from pyarrow import parquet

        self.file = file
        self.split = SPLITS.get(re.split(r"[^a-z]", file.stem.lower())[0])
        try:
            entry = parquet.read_table(file)
        except FileNotFoundError:
            raise UserError(f"{file} does not exist", "a Parquet file", "check the path") from None
        except (pyarrow.ArrowInvalid, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"cannot read {file}: {reason}", "a Parquet file", "check the file and permissions"
            ) from None
        columns = entry.schema.names
        pictures = file_columns(entry.schema)
        if not pictures:
            raise UserError(
                f"{file}: no column of images", "image: {bytes, path}", f"its columns are {', '.join(columns)}"
            )
        label = label or ("mask" if "label" not in columns and "mask" in pictures else "label")
        if label not in columns:
            do = nearest(label, [name for name in columns if name != pictures[0]])
            raise UserError(f"{title} ({file.name}) has no column '{label}'", "a column of labels", do)
        self.label, self.masks = label, None
        beside = [name for name in pictures if name != label]
        if not beside:
            raise UserError(f"{file}: masks in '{label}', but no images", "image: {bytes, path}", "add the images")
        self.images = entry.column(beside[0]).combine_chunks().field("bytes")
        if label in pictures:
            self.masks = entry.column(label).combine_chunks().field("bytes")
            return
        self.names = class_names(entry.schema.metadata or {}, label)
        self.labels = np.asarray(entry.column(label).to_pylist())
        gaps = entry.column(label).null_count + int((self.labels == -1).sum() if self.labels.dtype.kind == "i" else 0)
        if gaps:
            raise UserError(
                f"{file}: no label in {gaps:,} of {len(entry):,} rows", "a label in every row", "drop those rows"
            )
        kind = entry.schema.field(label).type
        if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
            raise UserError(f"{file}: labels of type {kind}", "whole numbers or words", f"check '{label}'")


def class_names(metadata: dict[bytes, bytes], label: str) -> list[str]:
    """Of a ClassLabel feature; [] where there is none."""
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    return list(features.get(label, {}).get("names", []))


def _given(parts: Sequence[_Part], kept: NDArray[np.int64], splits: dict[str, str]) -> dict[str, Any] | None:
    """Row numbers by split, counted among the kept rows; None where the files' names say nothing."""
    named = {part.split for part in parts}
    if None in named or len(named) == 1:  # a test file opened alone is a data set like any other
        return None
    of = np.concatenate([np.full(len(part.images), splits.get(part.split or "", part.split)) for part in parts])[kept]
    return {str(name): np.flatnonzero(of == name) for name in np.unique(of)}


class _Bytes(Sequence[bytes]):
    """The images of several files as one sequence, each copied only when it is asked for."""

    def __init__(self, columns: Sequence[Any]) -> None:
        self.columns = columns
        self.ends = np.cumsum([len(column) for column in columns])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, number: Any) -> bytes:
        part = int(np.searchsorted(self.ends, number, "right"))
        before = int(self.ends[part - 1]) if part else 0
        return self.columns[part][number - before].as_py() or b""
