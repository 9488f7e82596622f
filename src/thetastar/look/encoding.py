"""Raw inputs as numbers for an examination; nothing here is used for training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from thetastar.data.prepare.reading import as_numbers, as_words, kind_of
from thetastar.look.subject import WIDE, Rows, Subject

Matrix = NDArray[np.float64]
THUMB = 12  # pixels of the sides that stand for an image


def numbers(column: pd.Series) -> Matrix:
    """A column as numbers: words become their rank among the distinct words, missing ones NaN."""
    if kind_of(column) == "number":
        return as_numbers(column)
    words = as_words(column)
    codes, _ = pd.factorize(words, sort=True)
    return np.where(codes < 0, np.nan, codes.astype(np.float64))


def columns_used(subject: Subject, without: Sequence[str] = ()) -> list[str]:
    """At most `WIDE` columns, evenly spread over the table."""
    names = [str(name) for name in subject.frame.columns if name not in without]
    if len(names) <= WIDE:
        return names
    return [names[i] for i in np.linspace(0, len(names) - 1, WIDE).astype(int)]


def said_of_width(subject: Subject) -> tuple[str, ...]:
    width = subject.frame.shape[1]
    return (f"{WIDE} of {width:,} columns, evenly spread",) if width > WIDE else ()


def features(subject: Subject, rows: Rows, without: Sequence[str] = ()) -> tuple[Matrix, list[str]]:
    """(rows, entries) with their names: table columns as numbers, images as small pictures."""
    if subject.images is not None:
        small = thumbs(subject, rows, THUMB)
        flat = small.reshape(len(rows), -1)
        return flat, [f"pixel {i}" for i in range(flat.shape[1])]
    names = columns_used(subject, without)
    part = subject.frame.iloc[rows]
    encoded = [numbers(pd.Series(part[name])) for name in names]
    return (np.stack(encoded, 1) if encoded else np.empty((len(rows), 0))), names


def thumbs(subject: Subject, rows: Rows, side: int) -> Matrix:
    """(rows, channels, ≤ side, ≤ side) in [0, 1], by averaging areas."""
    assert subject.images is not None
    channels, height, width = subject.images.shape[1:]
    size = (min(side, height), min(side, width))
    unit = 255.0 if not subject.images.is_floating_point() else 1.0
    made = np.empty((len(rows), channels, *size))
    for start in range(0, len(rows), 1024):
        part = subject.images[rows[start : start + 1024]].float() / unit
        made[start : start + 1024] = interpolate(part, size=size, mode="area").numpy()
    return made


def descriptions(subject: Subject, rows: Rows) -> pd.DataFrame:
    """What of an image should not tell its class alone: brightness, contrast, each channel, the corners."""
    small = thumbs(subject, rows, THUMB)
    grey = small.mean(1)
    corner = max(1, grey.shape[1] // 4)
    parts = {
        "brightness": grey.mean((1, 2)),
        "contrast": grey.std((1, 2)),
        "top left corner": grey[:, :corner, :corner].mean((1, 2)),
        "top right corner": grey[:, :corner, -corner:].mean((1, 2)),
        "bottom left corner": grey[:, -corner:, :corner].mean((1, 2)),
        "bottom right corner": grey[:, -corner:, -corner:].mean((1, 2)),
    }
    if small.shape[1] == 3:
        parts |= {
            f"mean {name}": small[:, i].mean((1, 2)) - grey.mean((1, 2))
            for i, name in enumerate(("red", "green", "blue"))
        }
    return pd.DataFrame(parts)
