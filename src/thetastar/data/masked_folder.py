"""Images with a mask each, in folders beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from thetastar.data.prepare.classes import files_below, stamp
from thetastar.data.prepare.labels import shown
from thetastar.data.prepare.masked import masked
from thetastar.data.prepare.masks import Legend
from thetastar.data.prepare.pictures import Files, load
from thetastar.data.prepare.splitting import SPLITS
from thetastar.errors import UserError
from thetastar.protocols import Source
from thetastar.registry import Count

__all__ = ["masked_folder"]

SIDES = ("images", "masks")
Key = tuple[str, ...]  # folders below and the file's stem, the same for an image and its mask


def masked_folder(
    *,
    path: str,
    size: Count | tuple[Count, Count] | None = None,
    void: Annotated[int, Ge(0)] | None = None,
) -> Source:
    """Images and their masks from path/images/1.jpg and path/masks/1.png, or path/train/images/1.jpg and so on.

    A mask is an index image of the size of its image: one number a pixel, a palette where there is one, 255 for pixels
    that count for nothing. classes.txt in the folder names the indices from 0 on; one called void counts for nothing.
    Folders train, valid and test above or below images and masks are those splits.

    Args:
        path: of the folder.
        size: of the sides of all images in pixels, or [width, height]; null takes the most common size, at most 256 on
            the longer side. Images are resized bilinearly, masks to the nearest pixel.
        void: the index that counts for nothing beside 255; null takes the one that is called void.
    """
    where = Path(path).expanduser()
    title, said = where.resolve().name, list[str]()
    images, masks = (_files(where, side) for side in SIDES)
    keys = [key for key in images if key in masks]
    if not keys:
        got = f"{where}: no image has a mask ({len(images):,} images, {len(masks):,} masks)"
        raise UserError(got, "images/1.jpg and masks/1.png", "give masks the names of their images")
    for what, one, other in (("images without a mask", images, masks), ("masks without an image", masks, images)):
        if left := [str(file.relative_to(where)) for key, file in one.items() if key not in other]:
            said.append(f"{what} are left out: {shown(left)}")
    paths, beside = [images[key] for key in keys], [masks[key] for key in keys]
    content = f"{stamp(where, paths)} {stamp(where, beside)}"
    names = [str(file.relative_to(where)) for file in paths]
    pictures = load(Files(paths), names, content, size, said)
    given = _given([keys[number] for number in pictures.kept])
    legend = Legend.beside(where, void)
    source = masked(pictures, Files(beside), Files(paths), names, content, legend, given, title)
    source.said = [f"{title}: {source.said[0]}", *source.said[1:], *said]
    return source


def _files(where: Path, side: str) -> dict[Key, Path]:
    """Images of a side by what they share with their counterparts, in the order of their names."""
    from PIL import Image

    endings = set(Image.registered_extensions())
    found: dict[Key, Path] = {}
    for file in files_below(where):
        parts = file.relative_to(where).parts
        if side not in parts[:-1] or file.suffix.lower() not in endings:
            continue
        place = parts.index(side)
        key = (*parts[:place], *parts[place + 1 : -1], file.stem)
        if key in found:
            raise UserError(f"{found[key]} and {file.name} have one name", "one file each", "rename one of them")
        found[key] = file
    return found


def _given(keys: Sequence[Key]) -> dict[str, Any] | None:
    """Row numbers by split; None where folders do not name one for every image."""
    splits = np.asarray([SPLITS.get(key[0].lower(), "") if len(key) > 1 else "" for key in keys])
    if "" in splits or "train" not in splits:
        return None
    return {str(name): np.flatnonzero(splits == name) for name in np.unique(splits)}
