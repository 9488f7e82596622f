"""Columns of a table that name pictures: recognised, decoded, and stood in for where there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar.data.prepare import decode as worker
from thetastar.data.prepare.fields import moments
from thetastar.data.prepare.labels import shown
from thetastar.data.prepare.pictures import Files, load
from thetastar.data.prepare.reading import as_words, kind_of
from thetastar.errors import UserError
from thetastar.protocols import Field

NAMED = 0.95  # of the known values that end as images do, from which a column is thought to name pictures
FOUND = 0.5  # of those that must be there


@dataclass(frozen=True)
class Pictured:
    """A path ↦ its picture; a blank ↦ one of a single colour, the mean of the training pictures.

    Args:
        name: of the column.
        folder: below which paths are looked for; "" is the folder of the table at hand.
        shape: channels, height and width of all pictures.
        plain: the colour, a byte a channel.
    """

    name: str
    folder: str
    shape: tuple[int, int, int]
    plain: tuple[int, ...]

    def encode(self, column: pd.Series, beside: Path) -> Tensor:
        """(rows, channels, height, width) as bytes; `beside` is the folder of the table."""
        channels, height, width = self.shape
        made = np.empty((len(column), height, width, channels), np.uint8)
        made[:] = np.asarray(self.plain, np.uint8)
        wrong: list[str] = []
        for row, name in enumerate(as_words(column)):
            if isinstance(name, str):
                path = located(name, [Path(self.folder) if self.folder else beside])
                found = worker.pixels(Files([path])[0], width, height, channels)
                if found is None:
                    wrong.append(name)
                else:
                    made[row] = found
        if wrong:
            where = self.folder or str(beside)
            raise UserError(
                f"column '{self.name}': {len(wrong):,} of {len(column):,} images are missing or cannot be read: "
                f"{shown(wrong)}",
                f"image files below {where}, or absolute paths",
                "check the paths, or leave the cells blank",
            )
        return torch.from_numpy(made).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Album:
    """The pictures that a column of the whole table names.

    Attributes:
        images: (rows, channels, height, width), bytes in channels-last memory; of rows without a picture anything.
        there: which rows have one.
        digest: a hash of the files' bytes.
    """

    name: str
    folder: str
    images: Tensor
    there: NDArray[np.bool_]
    digest: str

    def fit(self, rows: NDArray[Any]) -> tuple[Pictured, Field]:
        """What the training rows say; rows without a picture get the plain one."""
        seen = rows[self.there[rows]]
        if not len(seen):
            raise UserError(
                f"column '{self.name}' has no picture in the training rows", "pictures", f"set data.drop=[{self.name}]"
            )
        shape = tuple(self.images.shape[1:])
        mean, std = moments(self.images, "image", torch.from_numpy(seen))
        plain = tuple(round(255 * value) for value in mean)
        if not self.there.all():
            colour = torch.tensor(plain, dtype=torch.uint8)[:, None, None]
            self.images[torch.from_numpy(~self.there)] = colour
        field = Field("image", shape, mean=mean, std=std)
        return Pictured(self.name, self.folder, (shape[0], shape[1], shape[2]), plain), field


def find(
    frame: pd.DataFrame, images: str | None, beside: Sequence[Path], size: int | None, said: list[str]
) -> list[Album]:
    """The columns that name pictures, read.

    Args:
        frame: the inputs of all rows.
        images: the folder that the paths are relative to; None is that of the table.
        beside: folders of the table's files.
        size: of the sides of all pictures in pixels; None takes the most common size.
        said: gets a line for each decision.
    """
    folders = list(beside) if images is None else [_folder(images, beside)]
    albums: list[Album] = []
    for key, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype) or kind_of(column) == "number":
            continue
        words = as_words(column)
        known = words.dropna()
        if not len(known) or not known.head(100).map(_is_image).mean() >= NAMED or not _all(known):
            continue
        paths = [located(str(name), folders) for name in known]
        there = sum(path is not None for path in paths)
        if there < FOUND * len(paths):
            where = " or ".join(str(folder) for folder in folders)
            said.append(
                f"column '{key}' names images, but {there:,} of {len(paths):,} are in {where}: read as words "
                "(data.images=FOLDER says where they are)"
            )
            continue
        albums.append(_album(str(key), words, paths, "" if images is None else str(folders[0]), size, said))
    if images is not None and not albums:
        raise UserError(f"data.images={images}: no column names images there", "a column of paths", "check the folder")
    return albums


def _folder(images: str, beside: Sequence[Path]) -> Path:
    """A folder of pictures, named from the table's folder or from here."""
    for base in (*beside, Path.cwd()):
        if (base / Path(images).expanduser()).is_dir():
            return (base / Path(images).expanduser()).absolute()
    raise UserError(f"data.images={images} is no folder", "the folder that the paths are relative to", "check the path")


def _album(
    name: str, words: pd.Series, paths: Sequence[Path | None], folder: str, size: int | None, said: list[str]
) -> Album:
    rows = np.flatnonzero(words.notna().to_numpy())
    lines: list[str] = []
    digest = _content(paths)
    names = words.iloc[rows].tolist()
    pictures = load(Files(paths), names, digest, size, lines, "are missing or cannot be read")
    there = np.zeros(len(words), bool)
    there[rows[pictures.kept]] = True
    images = pictures.images
    channels, height, width = images.shape[1:]
    said.append(f"column '{name}' names images: read as {width}×{height} {'grey' if channels == 1 else 'colour'} ones")
    said.extend(f"column '{name}': {line}" for line in lines)
    if not there.all():
        full = torch.zeros((len(words), height, width, channels), dtype=torch.uint8)
        full[torch.from_numpy(there)] = images.permute(0, 2, 3, 1)
        images = full.permute(0, 3, 1, 2)
        count = int((~there).sum())
        rows = "1 row without an image takes" if count == 1 else f"{count:,} rows without an image take"
        said.append(f"column '{name}': {rows} the training images' mean colour")
    return Album(name, folder, images, there, digest)


def _is_image(name: str) -> bool:
    from PIL import Image

    kind = Image.registered_extensions().get(Path(name).suffix.lower())
    return kind in Image.OPEN


def _all(known: pd.Series) -> bool:
    return bool(known.map(_is_image).mean() >= NAMED)


def located(name: str, folders: Iterable[Path]) -> Path | None:
    """The file of that name: as it is where the path is absolute, else below the first folder that has it."""
    path = Path(name).expanduser()
    places = [path] if path.is_absolute() else [folder / path for folder in folders]
    return next((place for place in places if place.is_file()), None)


def _content(paths: Sequence[Path | None]) -> str:
    """A hash of the files' bytes, in the order of the rows."""
    files, digest = Files(paths), hashlib.sha256()
    for number in range(len(paths)):
        digest.update(hashlib.sha256(files[number]).digest())
    return digest.hexdigest()
