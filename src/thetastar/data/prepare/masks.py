"""Masks: index images beside the images, what their indices mean, and what is wrong with them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from thetastar.data.prepare.cache import cached
from thetastar.data.prepare.decode import UNREADABLE, measure
from thetastar.errors import UserError
from thetastar.functional.masks import VOID

CLASSES = "classes.txt"  # a name a line, in the order of the indices, beside the images
UNNAMED = ("void", "unlabelled", "unlabeled", "ignore")  # what the index of pixels without a class is called
INDEXED = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B", "I;16N")
FORMAT = "1"  # of what is cached; a new number makes old entries useless


@dataclass(frozen=True)
class Legend:
    """What the indices of masks mean.

    Args:
        names: of the indices from 0 on; () where they are not known.
        void: the index of pixels without a class, beside 255; None where there is none.
    """

    names: tuple[str, ...] = ()
    void: int | None = None

    @classmethod
    def beside(cls, where: Path, void: int | None) -> Legend:
        """The legend of a folder; an index called void is one where no other is said to be."""
        file = where / CLASSES
        if not file.is_file():
            return cls((), void)
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {file}: {error}", "a name a line", "check the file") from None
        names = tuple(line.strip() for line in lines if line.strip())
        if void is None:
            void = next((index for index, name in enumerate(names) if name.lower() in UNNAMED), None)
        return cls(names, void)


def load(blobs: Sequence[bytes], images: Sequence[bytes], names: Sequence[str], content: str, size: Any) -> Tensor:
    """Index images as (masks, height, width) bytes in the size of the images, nearest between pixels.

    Args:
        blobs: contents of the masks' files, asked for one by one.
        images: those of their images, which must have the same size.
        names: of the masks, for messages.
        content: a hash of all the files, by which the result is kept.
        size: width and height to bring them to.
    """
    key = hashlib.sha256(f"masks {FORMAT} {content} {tuple(size)} {len(blobs)}".encode()).hexdigest()[:32]
    made, _, _ = cached(key, lambda: (_decoded(blobs, images, names, size), {}), [])
    return made


def _decoded(blobs: Sequence[bytes], images: Sequence[bytes], names: Sequence[str], size: Any) -> Tensor:
    width, height = size
    made = np.empty((len(blobs), height, width), np.uint8)
    for number, name in enumerate(names):
        index = _index(blobs[number], name)
        beside = measure(images[number])[:2]
        if index.shape[::-1] != beside:
            got = f"mask of {name}: {index.shape[1]}×{index.shape[0]} pixels"
            raise UserError(got, f"{beside[0]}×{beside[1]}, as its image", "mend or leave out the mask")
        if index.max() > 255 or index.min() < 0:
            odd = int(index.max() if index.max() > 255 else index.min())
            raise UserError(f"mask of {name} holds index {odd}", "0 to 255", "save index images of 8 bits")
        picture = Image.fromarray(index.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
        made[number] = np.asarray(picture)
    return torch.from_numpy(made)


def _index(blob: bytes, name: str) -> NDArray[Any]:
    """(height, width) indices of an image of one channel, of its palette where it has one."""
    try:
        with Image.open(io.BytesIO(blob)) as opened:
            mode, index = opened.mode, np.asarray(opened).astype(np.int64)
    except UNREADABLE:
        raise UserError(f"mask of {name} cannot be read", "a PNG of indices", "mend or leave out the mask") from None
    if mode not in INDEXED:
        expected = "an index image: one number a pixel"
        raise UserError(f"mask of {name}: a colour image ({mode})", expected, "save classes as numbers")
    return index


def classes_of(
    masks: NDArray[Any], legend: Legend, rows: Sequence[str], said: list[str]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Masks of indices as masks of classes 0, 1, … and `VOID`, and the classes' names.

    Args:
        masks: (rows, height, width) of whole numbers.
        legend: what they mean; without names the indices that occur are the classes.
        rows: what messages call each of them.
        said: gets a line.
    """
    wrong = (masks < 0) | (masks > VOID) if masks.dtype != np.uint8 else np.zeros(0, bool)
    if wrong.any():
        raise _unknown(masks, wrong, rows, "0 to 255", "number the classes from 0")
    masks = masks.astype(np.uint8, copy=False)
    there = np.flatnonzero(np.bincount(masks.reshape(-1), minlength=256))
    indices, names = _classes(there, legend, said)
    table = np.full(256, VOID, np.uint8)
    table[indices] = np.arange(len(indices))
    strangers = np.setdiff1d(there, [*indices, VOID, *([] if legend.void is None else [legend.void])])
    if len(strangers):
        expected = f"0 to {len(legend.names) - 1} ({len(legend.names)} names in {CLASSES}) or {VOID}"
        raise _unknown(masks, np.isin(masks, strangers), rows, expected, f"name the index in {CLASSES}")
    if len(names) < 2:
        raise UserError(f"masks of {len(names)} class", "at least two", "check the masks")
    found = table[masks]
    share = float((found == VOID).mean())
    void = f"; {share:.1%} of all pixels are void and count for nothing" if share else ""
    said.append(f"segmentation into {len(names)} classes, from masks{void}")
    return found, names


def _classes(there: NDArray[Any], legend: Legend, said: list[str]) -> tuple[list[int], tuple[str, ...]]:
    """The indices that are classes, and their names."""
    if legend.names:
        if len(legend.names) > VOID:
            raise UserError(f"{len(legend.names)} names in {CLASSES}", f"at most {VOID}", "leave some out")
        indices = [index for index in range(len(legend.names)) if index != legend.void]
        return indices, tuple(legend.names[index] for index in indices)
    if legend.void is None and there.tolist() == [0, VOID]:
        said.append(f"masks hold 0 and {VOID} alone: these are two classes, no pixel is void")
        return [0, VOID], ("0", str(VOID))
    used = [int(index) for index in there if index not in (VOID, legend.void)]
    indices = [index for index in range(max(used, default=-1) + 1) if index != legend.void]
    return indices, tuple(map(str, indices))


def _unknown(masks: NDArray[Any], wrong: NDArray[Any], rows: Sequence[str], expected: str, do: str) -> UserError:
    """The first row that holds an index which has no meaning."""
    row = int(wrong.reshape(len(masks), -1).any(1).argmax())
    return UserError(f"mask of {rows[row]} holds index {masks[row][wrong[row]].flat[0]}", expected, do)
