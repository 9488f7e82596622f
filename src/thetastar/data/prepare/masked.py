"""Images with a mask each, as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from thetastar.data.arrays import arrays
from thetastar.data.prepare import masks
from thetastar.data.prepare.pictures import Pictures
from thetastar.protocols import Source


def masked(
    pictures: Pictures,
    blobs: Sequence[bytes],
    images: Sequence[bytes],
    rows: Sequence[str],
    content: str,
    legend: masks.Legend,
    given: dict[str, Any] | None,
    title: str,
) -> Source:
    """The images that could be read, each with its mask.

    Args:
        pictures: the images as decoded.
        blobs: contents of the masks, one for each image, asked for one by one.
        images: contents of all images.
        rows: what messages call each image.
        content: a hash of all files.
        legend: what indices mean.
        given: rows of the splits among those kept.
        title: what messages call the data.
    """
    names = [str(rows[number]) for number in pictures.kept]
    height, width = pictures.images.shape[2:]
    beside, seen = Chosen(blobs, pictures.kept), Chosen(images, pictures.kept)
    indices = masks.load(beside, seen, names, content, (width, height))
    said: list[str] = []
    found, classes = masks.classes_of(indices.numpy(), legend, names, said)
    digest = hashlib.sha256(f"{pictures.digest} {classes} ".encode() + found.tobytes()).hexdigest()[:16]
    source = arrays(
        inputs=pictures.images,
        targets=found,
        task="segmentation",
        names=classes,
        given=given,
        title=title,
        digest=digest,
    )
    source.said = said
    return source


class Chosen(Sequence[bytes]):
    """Some of many, by number."""

    def __init__(self, all_: Sequence[bytes], numbers: Any) -> None:
        self.all, self.numbers = all_, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: Any) -> bytes:
        return self.all[self.numbers[number]]
