"""Sounds by class, in sub-folders or in Parquet files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetastar.data.clips import clips
from thetastar.data.prepare.classes import given_splits, in_folders
from thetastar.data.prepare.splitting import split_of_name
from thetastar.data.prepare.targets import refuse_singles
from thetastar.data.prepare.waves import ENDINGS, load
from thetastar.errors import UserError, nearest
from thetastar.protocols import Source
from thetastar.registry import Count, Positive

__all__ = ["sounds"]


@dataclass(frozen=True)
class Labelled:
    """Files of sound with what is known of each."""

    blobs: list[bytes]
    names: list[str]
    labels: NDArray[Any]
    splits: NDArray[Any]  # "" where none is given
    groups: NDArray[Any] | None


def sounds(
    *,
    path: str,
    label: str = "label",
    group: str | None = None,
    rate: Count | None = None,
    seconds: Positive | None = None,
    title: str | None = None,
) -> Source:
    """Clips by class from sub-folders, path/cat/1.wav, or from Parquet files with `audio: {bytes, path}` and labels.

    All clips are brought to one rate, one channel and one length. Given splits are kept; files that cannot be read are
    left out and named.

    Args:
        path: of the folder or the file.
        label: the column of labels in Parquet files.
        group: a column whose rows stay in one split, such as the speaker; null is none. Given splits, which may tear
            groups apart, are left aside then.
        rate: samples a second; null takes the most common one.
        seconds: of all clips; null is what holds 98% of them whole, at most ten.
        title: what messages call the data.
    """
    where = Path(path).expanduser()
    title = title or where.stem
    files = sorted(where.glob("*.parquet")) if where.is_dir() else [where]
    found = from_parquet(files, label, group) if files and files[0].suffix == ".parquet" else from_folder(where)
    notes: list[str] = []
    waves = load(found.blobs, found.names, rate, seconds, notes)
    values, codes, counts = np.unique(found.labels[waves.kept], return_inverse=True, return_counts=True)
    words = tuple(map(str, values))
    refuse_singles(words, counts, title)
    splits = found.splits[waves.kept]
    given = None
    if found.groups is None and all(splits):
        given = {str(name): np.flatnonzero(splits == name) for name in np.unique(splits)}
    content = f"{waves.digest} {codes.tobytes().hex()} {list(words)}"
    source = clips(
        inputs=waves.clips,
        targets=codes.reshape(-1),
        rate=waves.rate,
        names=words,
        given=given,
        groups=None if found.groups is None else found.groups[waves.kept],
        title=title,
        digest=hashlib.sha256(content.encode()).hexdigest()[:16],
    )
    source.said = [f"{title}: classification into {len(words)} classes", *notes]
    if source.groups is not None:
        source.said.append(f"{len(np.unique(source.groups))} groups by {group}, each in one split")
    return source


def from_folder(where: Path) -> Labelled:
    items, _, _ = in_folders(where, ENDINGS, "sounds", "wav")
    given = given_splits(items) or {}
    splits = np.full(len(items), "", dtype=object)
    for name, rows in given.items():
        splits[rows] = name
    names = [str(item.path.relative_to(where)) for item in items]
    blobs = [item.path.read_bytes() for item in items]
    return Labelled(blobs, names, np.asarray([item.label for item in items]), splits, None)


def from_parquet(files: Sequence[Path], label: str, group: str | None) -> Labelled:
    import pyarrow
    from pyarrow import parquet

    blobs: list[bytes] = []
    names: list[str] = []
    labels: list[Any] = []
    splits: list[str] = []
    groups: list[Any] = []
    for file in files:
        try:
            entry = parquet.read_table(file)
        except (pyarrow.ArrowInvalid, OSError) as error:
            got = f"cannot read {file}: {getattr(error, 'strerror', None) or error}"
            raise UserError(got, "a Parquet file", "check the path") from None
        for wanted in ("audio", label, *([group] if group else [])):
            if wanted not in entry.column_names:
                got, known = f"{file} has no column '{wanted}'", entry.column_names
                raise UserError(got, f"one of {', '.join(known)}", nearest(wanted, known))
        rows = entry["audio"].to_pylist()
        blobs += [row["bytes"] or b"" for row in rows]
        names += [row["path"] or f"row {number} of {file.name}" for number, row in enumerate(rows)]
        labels += entry[label].to_pylist()
        splits += [split_of_name(file.stem) or ""] * len(rows)
        groups += entry[group].to_pylist() if group else []
    words, own = np.asarray(splits, dtype=object), np.asarray(groups) if group else None
    return Labelled(blobs, names, np.asarray(labels), words, own)
