"""A few rows of the data kept for people to see, so that a page can be made again without the data."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from thetastar.protocols import Field, Stream

SIDE = 96  # pixels; larger images are made smaller
COLUMNS = 12
LETTERS = 80


@dataclass(frozen=True)
class Examples:
    """Inputs by row number.

    Attributes:
        pictures: row → data URI of a PNG.
        heads, cells: names of columns; row → a value for each.
        width: how many columns the data have; the first ones are kept.
    """

    pictures: dict[int, str] = field(default_factory=dict[int, str])
    heads: list[str] = field(default_factory=list[str])
    cells: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    width: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Examples:
        kept = {name: {int(row): value for row, value in state[name].items()} for name in ("pictures", "cells")}
        return cls(kept["pictures"], list(state["heads"]), kept["cells"], state["width"])


def examples_of(stream: Stream, rows: Sequence[int]) -> Examples:
    """The inputs of these rows as a person would look at them; none where the data are neither images nor a table."""
    source, single = getattr(stream, "source", None), stream.schema.input
    gather = getattr(stream, "gather", None)
    if source is None or gather is None or not isinstance(single, Field) or not rows:
        return Examples()
    frame = getattr(source, "frame", None)
    if isinstance(frame, pd.DataFrame):
        return of_frame(frame, rows)
    inputs = gather(torch.tensor(list(rows)).to(getattr(stream, "device", "cpu")))["input"]
    if single.kind == "image":
        return Examples(pictures={row: picture(x) for row, x in zip(rows, inputs, strict=True)})
    if single.kind == "vector" and inputs.ndim == 2:
        given = single.names if len(single.names) == inputs.shape[1] else [f"x{i + 1}" for i in range(inputs.shape[1])]
        values = pd.DataFrame(inputs.cpu().numpy(), index=list(rows), columns=list(given))
        return of_frame(values, list(rows), by_label=True)
    return Examples()


def of_frame(frame: pd.DataFrame, rows: Sequence[int], by_label: bool = False) -> Examples:
    part = frame.loc[list(rows)] if by_label else frame.iloc[list(rows)]
    part = part.iloc[:, :COLUMNS]
    cells = {row: [cell(value) for value in line] for row, line in zip(rows, part.itertuples(index=False), strict=True)}
    return Examples(heads=[str(name) for name in part.columns], cells=cells, width=frame.shape[1])


def cell(value: Any) -> str:
    """Four significant digits, short words, dates without a time of nought; – for what is missing."""
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return "–"
    if isinstance(value, float | np.floating):
        if float(value).is_integer() and abs(value) < 1e7:
            return f"{value:.0f}" if abs(value) < 1e4 else f"{value:,.0f}"  # a year is no quantity
        return f"{value:,.4g}"
    text = str(value).removesuffix(" 00:00:00")
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def picture(x: Tensor) -> str:
    """An image of floats in [0, 1], (channels, height, width), as the data URI of a PNG."""
    pixels = (x.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    pixels = pixels[0] if len(pixels) in (1, 2) else pixels[:3].transpose(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
