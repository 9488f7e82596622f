"""`theta predict`: a table of rows or an image in, one line of CSV a row out."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

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
        return image(path, field)
    frame = read_table(file)
    if star.source_name != "arrays" or not isinstance(field, Field):
        return frame
    words = [str(column) for column in frame.columns if frame[column].dtype.kind not in "biuf"]
    if words:
        raise UserError(f"{file}: column '{words[0]}' holds words", "numbers", "leave the column out")
    values = np.array(frame, dtype=np.float32)
    if len(field.shape) > 1 and values.shape[1] == math.prod(field.shape):
        values = values.reshape(-1, *field.shape)
    return values


def read_table(file: str) -> pd.DataFrame:
    """CSV, TSV or Parquet; a first line of numbers is data and no header."""
    try:
        if file.endswith((".parquet", ".pq")):
            return pd.read_parquet(file)
        frame = pd.read_csv(
            sys.stdin if file == "-" else file, sep="\t" if file.endswith(".tsv") else ",", header=None, dtype=str
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{file} is no table: {error}", "CSV, TSV or Parquet", "check the file") from None
    if pd.to_numeric(frame.iloc[0], errors="coerce").isna().any():
        frame = frame.iloc[1:].set_axis(frame.iloc[0].astype(str).tolist(), axis=1).reset_index(drop=True)
    return frame.apply(as_numbers)


def as_numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of numbers where every entry is one, else the words as they are."""
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if numbers.isna().equals(column.isna()) else column


def image(path: Path, field: Field) -> NDArray[np.uint8]:
    """(1, channels, height, width) from an image file."""
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(path).convert({1: "L", 3: "RGB", 4: "RGBA"}[field.shape[0]])
    except UnidentifiedImageError:
        raise UserError(f"{path} is no image that can be read", "PNG or JPEG", "check the file") from None
    pixels = np.array(picture, dtype=np.uint8)
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))[None]
