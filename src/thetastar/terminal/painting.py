"""What a star of masks says of images: an index image each, and the share of the pixels that every class has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.palettes import painted
from thetastar.protocols import Field
from thetastar.terminal.rows import Part
from thetastar.terminal.writing import ENDINGS


def is_mask(target: Field | None) -> bool:
    return target is not None and target.kind == "mask"


def shares(masks: Tensor, target: Field) -> dict[str, Any]:
    """A column a class: its share of the pixels of an image.

    Shapes: masks (rows, height, width).
    """
    flat = masks.flatten(1)
    names = target.names or tuple(map(str, range(target.classes or 0)))
    return {f"share({name})": (flat == c).double().mean(1).numpy().round(4) for c, name in enumerate(names)}


class Paintings:
    """A folder of index images, each of the name and size of the image that it answers."""

    def __init__(self, folder: Path, target: Field) -> None:
        if folder.suffix and not folder.is_dir():
            expected = f"a folder for the masks, or a file ending in {', '.join(ENDINGS)} for the shares of classes"
            raise UserError(f"--out {folder}", expected, "choose a name")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"--out {folder} is there already", "a new or empty folder", "choose another name")
        self.folder, self.classes = folder, target.classes or 0
        self.count = 0

    def write(self, masks: Tensor, part: Part) -> None:
        """The masks of a part, by what its first column calls the images."""
        for mask, name, size in zip(masks.numpy(), part.beside.iloc[:, 0], _sizes(part, masks), strict=True):
            path = self._place(str(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            painted(np.asarray(mask), self.classes, size).save(path)
            self.count += 1

    def _place(self, name: str) -> Path:
        path = Path(name if name != "-" else "input")
        path = self.folder / (Path(path.name) if path.is_absolute() or ".." in path.parts else path)
        place = path.with_name(f"{path.stem}.png")
        if place.exists():
            raise UserError(f"two images would give {place}", "images of different names", "rename one of them")
        return place

    @property
    def said(self) -> str:
        return (
            f"{self.count:,} mask{'s' * (self.count != 1)} in {self.folder}: a pixel's value is the number of its class"
        )


def _sizes(part: Part, masks: Tensor) -> Sequence[tuple[int, int]]:
    """Width and height of every image as it came."""
    return part.sizes or [(masks.shape[2], masks.shape[1])] * len(masks)
