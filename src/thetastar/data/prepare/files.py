"""A table from one file or from several: a list, a pattern with *, or a folder."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from thetastar.data.prepare.formats import ENDINGS, ending
from thetastar.data.prepare.reading import content_hash, read_table
from thetastar.data.prepare.splitting import SPLITS, Given, gathered, split_of_name
from thetastar.errors import UserError


@dataclass(frozen=True)
class Rows:
    """Rows of all files, one after the other; `given`, where the files' names say which split they are."""

    frame: pd.DataFrame
    given: Given | None
    title: str
    digest: str


def read_files(path: str | Sequence[str], said: list[str]) -> Rows:
    """Read and join; what was joined and which splits the names give is said."""
    files = expanded(path)
    title = files[0].name if len(files) == 1 else _title(path, files)
    if len(files) == 1:
        if others := _other_splits(files[0]):
            said.append(f"left alone beside {title}: {', '.join(others)} (a pattern with * reads all, as the splits)")
        return Rows(read_table(files[0], said), None, title, content_hash(files[0]))
    lines: list[str] = []
    frames = [read_table(file, lines) for file in files]
    said.extend(dict.fromkeys(lines))
    for file, frame in zip(files[1:], frames[1:], strict=True):
        _same_columns(files[0], frames[0], file, frame)
    digest = hashlib.sha256(" ".join(content_hash(file) for file in files).encode()).hexdigest()[:16]
    splits = [split_of_name(file.name[: -len(ending(file))]) for file in files]
    shown = ", ".join(file.name for file in files[:6]) + (f" and {len(files) - 6:,} more" if len(files) > 6 else "")
    given = None
    if len(set(splits)) > 1:
        nameless = [file.name for file, split in zip(files, splits, strict=True) if split is None]
        if nameless:
            raise UserError(
                f"{title}: {shown}: the name of {nameless[0]} says no split",
                "train, valid or test in every name, or in none",
                "leave that file out",
            )
        each = np.repeat(np.asarray(splits, object), [len(frame) for frame in frames])
        given = gathered(each, title)
    said.append(f"{len(files)} files {'are the splits that their names say' if given else 'joined'}: {shown}")
    return Rows(pd.concat(frames, ignore_index=True), given, title, digest)


def expanded(path: str | Sequence[str]) -> list[Path]:
    """The files of a path, a pattern, a folder or a list of them, in the order of their names."""
    if not isinstance(path, str):
        if not path:
            raise UserError("table.path is an empty list", "at least one file", "name a file")
        return [file for one in path for file in expanded(one)]
    where = Path(path).expanduser()
    if where.is_dir():
        if ending(where) in ENDINGS:
            return [where]  # reading it says what is wrong
        files = sorted(file for file in where.iterdir() if ending(file) in ENDINGS and file.is_file())
        if not files:
            raise UserError(f"{where} holds no table", f"files ending in {', '.join(ENDINGS)}", "check the path")
        return files
    if not where.exists() and any(mark in path for mark in "*?["):
        files = sorted(Path(found) for found in glob.glob(str(where)))
        if not files:
            raise UserError(f"no file matches {path}", "a pattern such as data/*.csv", "check the pattern")
        return files
    return [where]


def _other_splits(file: Path) -> list[str]:
    """Files beside one that differ from it in the split that their names say: train.csv, test.csv."""
    own = split_of_name(file.name.removesuffix(ending(file)))
    if own is None or not file.parent.is_dir():
        return []
    beside = sorted(one for one in file.parent.iterdir() if ending(one) == ending(file) and one.is_file())
    found = {one.name: split_of_name(one.name.removesuffix(ending(one))) for one in beside}
    rest = _but_split(file.name)
    return [name for name, split in found.items() if split not in (None, own) and _but_split(name) == rest]


def _but_split(name: str) -> str:
    """A file's name without words that name splits."""
    return "".join(part for part in re.split(r"([^a-z]+)", name.lower()) if part not in SPLITS)


def _title(path: str | Sequence[str], files: Sequence[Path]) -> str:
    if isinstance(path, str):
        return Path(path).name
    return f"{files[0].name} and {len(files) - 1} more"


def _same_columns(first: Path, expected: pd.DataFrame, file: Path, frame: pd.DataFrame) -> None:
    absent = [str(name) for name in expected.columns if name not in frame.columns]
    extra = [str(name) for name in frame.columns if name not in expected.columns]
    if absent or extra:
        parts = [f"{what}: {', '.join(names)}" for what, names in (("missing", absent), ("not known", extra)) if names]
        raise UserError(
            f"{file.name}: columns {'; '.join(parts)}",
            f"the columns of {first.name}",
            "leave that file out; theta predict reads rows without a target" if not extra else "mend that file",
        )
