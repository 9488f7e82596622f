"""Tables: CSV, TSV or Parquet files, and frames given in Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from thetastar.data.prepare import columns as columns_
from thetastar.data.prepare.reading import (
    as_numbers,
    as_words,
    content_hash,
    frame_hash,
    frame_of,
    kind_of,
    match,
    read_table,
)
from thetastar.data.prepare.targets import Task, find_target, read_target
from thetastar.errors import UserError, nearest
from thetastar.protocols import Batch, Field, Schema, Source, Split

__all__ = ["table"]


class table(Source):
    """Rows of numbers and words with one column as the target.

    A number x becomes (x or the training median, and whether it was missing, where any was); a word becomes one-hot
    entries with 'other' for seldom and 'unknown' for missing or unseen ones. All of it is fitted on the training rows
    alone and kept with the star; scaling is the first layer of f.

    Args:
        path: a file ending in .csv, .tsv, .parquet or .pq.
        frame: a pandas DataFrame instead of a file.
        target: the column to predict.
        task: "auto" reads words, truth values and whole numbers with few values as classes, other numbers as numbers.
        drop: columns to leave out.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        frame: Any = None,
        target: str | None = None,
        task: Task = "auto",
        drop: tuple[str, ...] = (),
    ) -> None:
        if (path is None) == (frame is None):
            raise UserError(
                "table: got " + ("both path and frame" if path else "neither path nor frame"),
                "one of them",
                "write path=…",
            )
        self.said = []
        self.given: Mapping[Split, Any] | None = None
        if path is not None:
            where = Path(path).expanduser()
            self.name, frame = where.name, read_table(where, self.said)
            self._fingerprint = content_hash(where)
        else:
            if not isinstance(frame, pd.DataFrame):
                raise UserError(
                    f"table.frame: got {type(frame).__name__}", "a pandas DataFrame", "use arrays for arrays"
                )
            if len(frame) == 0:
                raise UserError("table.frame has no rows", "at least one row", "check the frame")
            self.name, self._fingerprint = "table", frame_hash(frame)
        frame = frame.rename(columns=lambda name: str(name).strip()).reset_index(drop=True)
        self.rows = len(frame)
        if not frame.columns.is_unique:
            twice = frame.columns[frame.columns.duplicated()][0]
            raise UserError(f"{self.name} has several columns '{twice}'", "a name of its own for each", "rename them")
        self.target_name = find_target(frame, target, self.name)
        self.targets, self.target = read_target(frame[self.target_name], task, self.said)
        self.strata = self.targets if self.target.kind == "category" else None
        self.frame = self._inputs(frame, drop)
        self._read = list(self.said)

    def _inputs(self, frame: pd.DataFrame, drop: tuple[str, ...]) -> pd.DataFrame:
        """The columns but for the target, those to drop and row numbers; numbers as floats, words stripped."""
        for name in drop:
            if name not in frame.columns:
                raise UserError(f"table.drop: no column '{name}'", "columns of the table", nearest(name, frame.columns))
        inputs = frame.drop(columns=[self.target_name, *(name for name in drop if name != self.target_name)])
        for name in [name for name, column in inputs.items() if columns_.counts_rows(column)]:
            self.said.append(f"column '{name}' left out: it counts the rows")
            inputs = inputs.drop(columns=name)
        numbers = [name for name, column in inputs.items() if kind_of(column) == "number"]
        inputs = pd.DataFrame(
            {name: as_numbers(column) if name in numbers else as_words(column) for name, column in inputs.items()},
            index=inputs.index,
        )
        self._refuse_empty(inputs)
        return inputs

    def _refuse_empty(self, inputs: pd.DataFrame) -> None:
        gaps = inputs.isna().sum()
        empty = [str(name) for name in inputs.columns[gaps == len(inputs)]]
        if empty:
            shown = ", ".join(f"'{name}'" for name in empty)
            raise UserError(
                f"{self.name}: no value at all in column {shown}", "values", f"set data.drop=[{', '.join(empty)}]"
            )
        if not inputs.shape[1]:
            raise UserError(f"{self.name} has no column beside the target", "something to predict from", "add columns")
        if gaps.sum():
            of = f"{int((gaps > 0).sum())} of {inputs.shape[1]} columns"
            self.said.append(
                f"{int(gaps.sum()):,} missing values in {of}: numbers take the training rows' median, words 'unknown'"
            )

    def prepare(self, train: Any) -> tuple[Schema, dict[str, Tensor]]:
        rows = np.asarray(train)
        self.said = list(self._read)
        self.columns = columns_.fit(self.frame.iloc[rows], self.said)
        if not self.columns:
            raise UserError(
                f"{self.name}: no column varies in the training rows", "something to predict from", "add columns"
            )
        x = columns_.encode(self.frame, self.columns)
        names = tuple(entry for column in self.columns for entry in column.entries)
        if len(names) > len(self.columns):
            self.said.append(f"{len(self.columns)} columns become {len(names)} numbers")
        mean, std = _moments(x[rows])
        field = Field("vector", (len(names),), names=names, mean=mean, std=std)
        y, target = self.targets[rows], self.target
        if target.kind == "category":
            counts = tuple(np.bincount(y, minlength=target.classes or 0).tolist())
            target = Field("category", (), target.classes, target.names, counts=counts)
        else:
            mean, std = _moments(y[:, None])
            target = Field("number", (), mean=mean, std=std)
        self.schema = Schema(field, target)
        return self.schema, {"input": torch.from_numpy(x), "target": torch.from_numpy(self.targets)}

    def transform(self, raw: Any) -> Batch:
        """A frame, the path of a table, a row or rows as mappings, or rows in the order of the training columns."""
        used = [column.name for column in self.columns]
        frame = match(frame_of(raw, used), used, [*used, self.target_name])
        return {"input": torch.from_numpy(columns_.encode(frame, self.columns))}

    def state(self) -> dict[str, Any]:
        return {
            "title": self.name,
            "target": self.target_name,
            "columns": columns_.to_json(self.columns),
            "schema": self.schema.to_json(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> table:
        source = cls.__new__(cls)
        source.name, source.target_name = state["title"], state["target"]
        source.columns, source.schema = columns_.from_json(state["columns"]), Schema.from_json(state["schema"])
        return source

    @property
    def fingerprint(self) -> str:
        return self._fingerprint


def _moments(x: np.ndarray[Any, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    x = x.astype(np.float64)
    return tuple(x.mean(0).tolist()), tuple(x.std(0).tolist())
