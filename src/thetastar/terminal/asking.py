"""Which rows the FILE of `theta predict` holds: by its ending, or by how the input stream begins."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

from thetastar.data.prepare.chunks import EXPECTED, Table
from thetastar.data.prepare.formats import ENDINGS, ending
from thetastar.data.prepare.streaming import first_bytes, open_stream, open_table
from thetastar.data.prepare.text_chunks import Text
from thetastar.errors import UserError
from thetastar.protocols import Field
from thetastar.star import Star
from thetastar.terminal.images import MAGIC, ImageFiles, ImageTable, OneImage, column_of_images
from thetastar.terminal.rows import NumberRows, Rows, TableRows

INPUT = "the input stream"


def rows_of(file: str, star: Star, keep: Sequence[str]) -> Rows:
    """The rows of a file, a folder of images, or "-", the input stream."""
    found = _of_stream(star, keep) if file == "-" else _of_path(Path(file).expanduser(), star, keep)
    if keep and not isinstance(found, TableRows | NumberRows):
        raise UserError("--keep with images", "a table", "leave it out: answers name their file")
    return found


def _of_path(path: Path, star: Star, keep: Sequence[str]) -> Rows:
    images = isinstance(star.schema.input, Field) and star.schema.input.kind == "image"
    if not path.exists():
        expected = "an image, a folder of images" if images else EXPECTED
        raise UserError(f"no file {path}", f"{expected}, or - for the input stream", "check the path")
    if path.is_dir():
        return ImageFiles(star, path)
    kind = ending(path)
    if images and kind in (".parquet", ".pq") and (column := column_of_images(path)) is not None:
        return ImageTable(star, path, column)
    if kind not in ENDINGS:
        with path.open("rb") as opened:
            if opened.read(8).startswith(MAGIC) or _pictured(kind):
                return ImageFiles(star, path)
    return _rows(open_table(path), star, keep, path.parent)


def _pictured(kind: str) -> bool:
    """Whether files of this ending are images."""
    from PIL import Image

    return kind in Image.registered_extensions()


def _of_stream(star: Star, keep: Sequence[str]) -> Rows:
    stream = sys.stdin.buffer
    assert isinstance(stream, io.BufferedIOBase)
    head = first_bytes(stream)
    if not head.strip():
        raise UserError(f"{INPUT} is empty", "CSV, JSON lines or an image", "pipe something into it")
    if head.startswith(MAGIC):
        return OneImage(star, head + stream.read(), INPUT)
    return _rows(open_stream(stream, head, INPUT), star, keep, Path())


def _rows(table: Table, star: Star, keep: Sequence[str], folder: Path) -> Rows:
    if star.source_name == "table":
        return TableRows(table, star, keep, folder)
    if isinstance(table, Text):
        table.unnamed()
    return NumberRows(table, star, keep)
