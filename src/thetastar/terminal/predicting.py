"""`theta predict`: a table of rows or an image in, one line of CSV a row out."""

from __future__ import annotations

import contextlib
import csv
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from thetastar.data.prepare.reading import read_table
from thetastar.errors import UserError
from thetastar.protocols import Field
from thetastar.star import Star, load
from thetastar.terminal.console import print_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def predict(place: Path, file: str, *, probabilities: bool, as_json: bool) -> None:
    """Print what the star of a run says of every row of a file ("-" reads CSV from the input stream)."""
    star = load(place)
    raw = read(file, star)
    answers = named(np.asarray(star.predict(raw)), "prediction")
    if probabilities:
        shares = star.predict_proba(raw)
        classes = (star.schema.target.names if star.schema.target else ()) or range(shares.shape[1])
        answers |= {f"p({name})": shares[:, i] for i, name in enumerate(classes)}
    frame = pd.DataFrame(answers)
    if as_json:
        print_json(frame.to_dict(orient="records"))
    else:
        frame.to_csv(sys.stdout, index=False)


def named(values: NDArray[Any], name: str) -> dict[str, NDArray[Any]]:
    """(rows,) as one column, (rows, outputs) as several."""
    if values.ndim == 1:
        return {name: values}
    flat = values.reshape(len(values), -1)
    return {f"{name}_{i}": flat[:, i] for i in range(flat.shape[1])}


def read(file: str, star: Star) -> Any:
    """Raw inputs as the star's source takes them."""
    field = star.schema.input
    path = Path(file)
    if file != "-" and not path.is_file():
        raise UserError(f"no file {file}", "a CSV file, an image or - for the input stream", "check the path")
    if path.suffix.lower() in IMAGES:
        if not isinstance(field, Field) or field.kind != "image":
            raise UserError(f"the image {file}", "rows of a table, as in training", "give a CSV file")
        return image(path, field) if star.source_name == "arrays" else path  # else decoded as in training
    with rows_file(file) as table:
        if star.source_name != "arrays" or not isinstance(field, Field):
            return read_table(table, [])
        values = numbers(table, file)
    if len(field.shape) > 1 and values.shape[1] == math.prod(field.shape):
        values = values.reshape(-1, *field.shape)
    return values


@contextlib.contextmanager
def rows_file(file: str) -> Iterator[Path]:
    """The file, or one that holds what comes from the input stream: both are read as the training data were."""
    if file != "-":
        yield Path(file)
        return
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "input.csv")
        table.write_bytes(sys.stdin.buffer.read())
        yield table


def numbers(table: Path, name: str) -> NDArray[np.float32]:
    """(rows, columns) from CSV; a first line that is not numbers is a header."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
        if lines and not is_number(lines[0][0]):
            lines = lines[1:]
        values = np.array(lines, dtype=np.float32)
    except ValueError as error:  # a word, a ragged line or no text at all
        raise UserError(f"{name}: {error}", "lines of as many numbers each", "check the file") from None
    if values.ndim != 2:
        raise UserError(f"{name} has no rows", "lines of numbers", "check the file")
    return values


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def image(path: Path, field: Field) -> NDArray[np.uint8]:
    """(1, channels, height, width) from an image file."""
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(path).convert({1: "L", 3: "RGB", 4: "RGBA"}[field.shape[0]])
    except UnidentifiedImageError:
        raise UserError(f"{path} is no image that can be read", "PNG or JPEG", "check the file") from None
    pixels = np.array(picture, dtype=np.uint8)
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))[None]
