"""Images a star is asked about, part by part: files, folders, the input stream, Parquet files that hold images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thetastar.data.prepare.chunks import reported
from thetastar.data.prepare.decode import measure, pixels
from thetastar.data.prepare.matching import shown
from thetastar.errors import UserError
from thetastar.functional.arrow_columns import file_columns
from thetastar.protocols import Field
from thetastar.star import Star
from thetastar.terminal.rows import Part, Rows

MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")  # how files of images begin


class ImageRows(Rows):
    """Images as bytes, decoded and resized as the training images were; what cannot be read is left out and named.

    Attributes:
        title: what messages call them.
        column: the name of what tells them apart.
    """

    column = "file"

    def __init__(self, star: Star, title: str) -> None:
        field = star.schema.input
        if not isinstance(field, Field) or field.kind != "image":
            kind = "several inputs" if isinstance(field, dict) else "rows of a table"
            raise UserError(f"{title} for a star that was trained on {kind}", kind, "give a CSV file")
        self.star, self.title, self.shape = star, title, field.shape
        self.said, self.seen, self.resized = [], 0, 0
        self.unread: list[str] = []

    @property
    def done(self) -> int:
        return self.seen

    @abstractmethod
    def blobs(self) -> Iterator[tuple[Any, bytes]]:
        """What an image is called, and its bytes."""

    def parts(self) -> Iterator[Part]:
        images: list[Any] = []
        names: list[Any] = []
        sizes: list[tuple[int, int]] = []
        for name, blob in self.blobs():
            self.seen += 1
            image = self._decoded(blob)
            if image is None:
                self.unread.append(str(name))
                continue
            images.append(image)
            names.append(name)
            sizes.append(measure(blob)[:2])
            if len(images) == self.star.rows_at_once:
                yield self._part(images, names, sizes)
                images, names, sizes = [], [], []
        if self.seen and len(self.unread) == self.seen:
            few = f"{self.title} is no image" if self.seen == 1 else f"none of {self.seen:,} images in {self.title}"
            raise UserError(f"{few} that can be read", "PNG, JPEG, …", "check the files")
        if images or not self.seen:
            yield self._part(images, names, sizes)

    def _part(self, images: list[Any], names: list[Any], sizes: list[tuple[int, int]]) -> Part:
        channels, height, width = self.shape
        stacked = np.stack(images) if images else np.empty((0, height, width, channels), np.uint8)
        return Part(stacked.transpose(0, 3, 1, 2), pd.DataFrame({self.column: names}), sizes)

    def _decoded(self, blob: bytes) -> Any:
        channels, height, width = self.shape
        self.resized += measure(blob)[:2] not in ((width, height), (0, 0))
        return pixels(blob, width, height, channels)

    def afterwards(self) -> list[str]:
        lines: list[str] = []
        if self.resized:
            size = f"{self.shape[2]}×{self.shape[1]}"
            lines.append(f"{self.resized:,} of {self.seen:,} images resized to {size}, the size trained on")
        if self.unread:
            many = f"{len(self.unread):,} of {self.seen:,} images"
            lines.append(f"{many} cannot be read and have no answer: {shown(self.unread)}")
        return lines


class ImageFiles(ImageRows):
    """A file, or all in a folder and its sub-folders, in the order of their names."""

    def __init__(self, star: Star, path: Path) -> None:
        super().__init__(star, str(path))
        self.path = path
        self.files = [path]
        if path.is_dir():
            from PIL import Image

            endings = set(Image.registered_extensions())
            every = sorted(_files(path))
            self.files = [file for file in every if file.suffix.lower() in endings]
            others = [str(file.relative_to(path)) for file in every if file.suffix.lower() not in endings]
            if not self.files:
                there = f" ({shown(others, 3)})" if others else ""
                raise UserError(f"{path} holds no images{there}", "PNG, JPEG, … files", "check the path")
            if others:
                self.said.append(f"left alone as no images: {shown(others)}")
        self.total = len(self.files)

    def blobs(self) -> Iterator[tuple[Any, bytes]]:
        for file in self.files:
            name = str(file.relative_to(self.path)) if file != self.path else str(file)
            try:
                yield name, file.read_bytes()
            except PermissionError:
                yield name, b""


class OneImage(ImageRows):
    """Of which the bytes are there."""

    total = 1

    def __init__(self, star: Star, blob: bytes, title: str) -> None:
        super().__init__(star, title)
        self.blob = blob

    def blobs(self) -> Iterator[tuple[Any, bytes]]:
        yield "-", self.blob


class ImageTable(ImageRows):
    """A Parquet file as the hub stores images: a column of {bytes, path}."""

    column = "row"

    def __init__(self, star: Star, path: Path, inside: str) -> None:
        from pyarrow import parquet

        super().__init__(star, str(path))
        self.file, self.inside = parquet.ParquetFile(path), inside
        self.total = self.file.metadata.num_rows

    def blobs(self) -> Iterator[tuple[Any, bytes]]:
        row = 0
        for batch in self.file.iter_batches(64, columns=[f"{self.inside}.bytes"], use_threads=False):
            for cell in batch.column(0).to_pylist():
                row += 1
                yield row, (cell or {}).get("bytes") or b""


def column_of_images(path: Path) -> str | None:
    """The column of {bytes, …} of a Parquet file; None where it has none."""
    from pyarrow import parquet

    with reported(str(path)):
        schema = parquet.read_schema(path)
    return next(iter(file_columns(schema)), None)


def _files(where: Path) -> Iterator[Path]:
    for inner in where.iterdir():
        if inner.name.startswith("."):
            continue
        if inner.is_dir():
            yield from _files(inner)
        else:
            yield inner
