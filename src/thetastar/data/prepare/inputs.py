"""What goes into a model of a table's row: its columns as one vector, or apart as table, text and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar.data.prepare import columns as columns_
from thetastar.data.prepare.fields import of_columns
from thetastar.data.prepare.pictured import Album, Pictured
from thetastar.data.prepare.texts import Text
from thetastar.protocols import Field

Apart = Literal["auto", "apart", "together"]
Column = columns_.Column


@dataclass(frozen=True)
class Inputs:
    """Fitted columns by the input that they make: vectors of columns, then columns of pictures."""

    vectors: dict[str, list[Column]]
    pictures: dict[str, Pictured] = field(default_factory=dict[str, Pictured])

    @property
    def columns(self) -> list[Column | Pictured]:
        return [*(column for part in self.vectors.values() for column in part), *self.pictures.values()]

    def encode(self, frame: pd.DataFrame, beside: Path) -> dict[str, Tensor]:
        """A user's rows; images as numbers in [0, 1]. `beside` is the folder of their table."""
        x = {name: torch.from_numpy(columns_.encode(frame, part)) for name, part in self.vectors.items()}
        for name, one in self.pictures.items():
            # multiplied as in streams of training, to the same bits
            x[name] = one.encode(pd.Series(frame[one.name]), beside).to(torch.float32).mul_(1 / 255)
        return x

    def to_json(self) -> dict[str, Any]:
        vectors = {name: columns_.to_json(part) for name, part in self.vectors.items()}
        return {"vectors": vectors, "pictures": {name: asdict(one) for name, one in self.pictures.items()}}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Inputs:
        def read(entry: Mapping[str, Any]) -> Pictured:
            return Pictured(**{**entry, "shape": tuple(entry["shape"]), "plain": tuple(entry["plain"])})

        vectors = {name: columns_.from_json(part) for name, part in state["vectors"].items()}
        return cls(vectors, {name: read(entry) for name, entry in state["pictures"].items()})


def fit_inputs(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    albums: Sequence[Album],
    rows: NDArray[Any],
    apart: bool,
    scaled: bool,
    said: list[str],
) -> tuple[Inputs, dict[str, Field], dict[str, Tensor]]:
    """What each input holds, its field by the training rows, and its values for all rows.

    Args:
        frame: of all rows.
        columns: fitted on the training rows.
        albums: columns of pictures.
        rows: numbers of the training rows.
        apart: whether texts are an input of their own.
        scaled: whether models are to scale numbers by mean and deviation.
        said: gets a line where there are several inputs.
    """
    texts: list[Column] = [column for column in columns if apart and isinstance(column, Text)]
    rest = [column for column in columns if column not in texts]
    inputs = Inputs({name: part for name, part in (("table", rest), ("text", texts)) if part})
    fields: dict[str, Field] = {}
    x: dict[str, Tensor] = {}
    for name, part in inputs.vectors.items():
        values = columns_.encode(frame, part, strict=False)
        fields[name] = of_columns(values[rows], part, scaled, bins=name == "table")
        x[name] = torch.from_numpy(values)
    if len(fields) == 1 and not albums and all(isinstance(column, Text) for column in columns):
        # their weights bring words to one scale already: a seldom word over its deviation would drown the others
        name, whole = next(iter(fields.items()))
        fields[name] = Field("words", whole.shape, names=whole.names)
    for album in albums:
        name = "image" if len(albums) == 1 else f"image {album.name}".replace(".", " ")  # modules have no dot in a name
        inputs.pictures[name], fields[name] = album.fit(rows)
        x[name] = album.images
    if len(fields) > 1:
        sizes = ", ".join(f"{name} {'×'.join(map(str, field.shape))}" for name, field in fields.items())
        said.append(f"{len(fields)} inputs: {sizes}")
    return inputs, fields, x
