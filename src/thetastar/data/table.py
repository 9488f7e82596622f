"""Tables: delimited text, JSON lines, Parquet and Arrow files, and frames given in Python."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar.data.prepare import columns as columns_
from thetastar.data.prepare import pictured
from thetastar.data.prepare.dates import Part
from thetastar.data.prepare.fields import of_numbers
from thetastar.data.prepare.files import expanded, read_files
from thetastar.data.prepare.inputs import Apart, Inputs, fit_inputs
from thetastar.data.prepare.numeric import Impute, Scale
from thetastar.data.prepare.reading import (
    as_numbers,
    as_words,
    distinct_names,
    frame_hash,
    frame_of,
    kind_of,
    match,
)
from thetastar.data.prepare.several import Task, find_targets, has_answer, read_targets
from thetastar.data.prepare.splitting import names_splits, split_of_rows, times_of
from thetastar.data.prepare.texts import Weights
from thetastar.data.prepare.words import Categories
from thetastar.errors import UserError, nearest
from thetastar.protocols import Batch, Field, Schema, Source, Split
from thetastar.registry import Count

__all__ = ["table"]


class table(Source):
    """Rows of numbers, words, dates and texts with a column, or several, as the target.

    A number x becomes (x or the training median, and whether it was missing, where any was); a word becomes one-hot
    entries with 'other' for seldom and 'unknown' for missing or unseen ones; a date its year, month, day, weekday, hour
    and the days passed; a text the weights of its words. What a column holds and all that is fitted comes from the
    training rows alone and is kept with the star; scaling by mean and deviation is the first layer of f.

    Args:
        path: a file ending in .csv, .tsv, .parquet, .pq, .feather, .arrow, .jsonl, .ndjson or .json; several of them
            with the same columns, a pattern such as data/*.csv, or a folder. Names of files with train, valid and test
            give the splits.
        frame: a pandas DataFrame instead of a file.
        target: the column to predict, or several: all of numbers, or all of no and yes (0 and 1), a label each.
            Rows without a target are left out, and counted.
        task: "auto" reads words, truth values and whole numbers with few values as classes, other numbers as numbers,
            words with ; or | between them, or lists, as several labels a row; "multi-label" also those with commas.
        drop: columns to leave out.
        split_column: a column whose words train, valid and test give the split of each row.
        group: a column whose equal values (a patient, a house) stay together in one split; not an input.
        time: a column of dates or numbers by which rows are split: the earliest train, the latest test.
        text: how texts are read: weights that count seldom words more, or plain counts.
        categories: how words are read: one-hot; "ordinal", ranks; "embedding", one-hot with up to 1,000 values, from
            which tabular_mlp learns a vector a value. "auto" is ordinal where there is an order, else one-hot.
        orders: the words of columns, the least first: {size: [small, large]}; pandas' ordered categories have one.
        impute: what a missing number becomes, of the training rows; the models also see that it was missing.
        scale: of numbers; "quantile" gives the share of training rows below, "none" no scaling. tabular_mlp has its own
            quantile transform in each case.
        dates: parts of dates to read; null reads all that vary.
        images: the folder that a column of paths to images is relative to; null is the table's own. Such a column is an
            input beside the others, and so are texts then.
        size: of the sides of such images in pixels; null takes the most common size, at most 256 on the longer side.
        inputs: "apart" makes texts an input of their own beside the table in any case, "together" in none.
        crosses: pairs of columns, [age*income, sex*education]: numbers multiply once standardised, words are joined
            (seldom pairs are 'other', unseen ones 'unknown'), a number and a word give the number a weight a word.
    """

    def __init__(
        self,
        *,
        path: str | tuple[str, ...] | None = None,
        frame: Any = None,
        target: str | tuple[str, ...] | None = None,
        task: Task = "auto",
        drop: tuple[str, ...] = (),
        split_column: str | None = None,
        group: str | None = None,
        time: str | None = None,
        text: Weights = "tfidf",
        categories: Categories = "auto",
        orders: dict[str, list[str]] | None = None,
        impute: Impute = "median",
        scale: Scale = "standard",
        dates: tuple[Part, ...] | None = None,
        crosses: tuple[str, ...] = (),
        images: str | None = None,
        size: Count | None = None,
        inputs: Apart = "auto",
    ) -> None:
        if (path is None) == (frame is None):
            raise UserError(
                "table: got " + ("both path and frame" if path else "neither path nor frame"),
                "one of them",
                "write path=…",
            )
        self.said = []
        self.wishes = columns_.Wishes(categories, orders or {}, impute, scale, dates, text, crosses)
        self.given: Mapping[Split, Any] | None = None
        self.apart: Apart = inputs
        beside = [Path.cwd()]
        if path is not None:
            found = read_files(path, self.said)
            beside = list(dict.fromkeys(file.parent.absolute() for file in expanded(path)))
            frame, self.given, self.name, self._fingerprint = found.frame, found.given, found.title, found.digest
        else:
            frame = self._framed(frame)
        if len(frame) < 3:
            raise UserError(f"{self.name} has {len(frame)} row{'s' * (len(frame) > 1)}", "at least 3", "add rows")
        self.target_names = find_targets(frame, target, self.name)
        frame = self._answered(frame, task)
        self.rows = len(frame)
        self.targets, self.target, self.strata = read_targets(frame, self.target_names, task, self.said)
        self.time = time
        self._split(frame, split_column, group, time)
        frame = self._inputs(frame, drop, [name for name in (split_column, group) if name])
        self.albums = pictured.find(frame, images, beside, size, self.said)
        self.frame = self._cleaned(frame.drop(columns=[album.name for album in self.albums]))
        if self.albums:  # the pictures are data too
            parts = " ".join([self._fingerprint, *(album.digest for album in self.albums)])
            self._fingerprint = hashlib.sha256(parts.encode()).hexdigest()[:16]
        self._read = list(self.said)

    def _framed(self, frame: Any) -> pd.DataFrame:
        if not isinstance(frame, pd.DataFrame):
            raise UserError(f"table.frame: got {type(frame).__name__}", "a pandas DataFrame", "use arrays for arrays")
        if len(frame) == 0:
            raise UserError("table.frame has no rows", "at least one row", "check the frame")
        self.name, self._fingerprint = "table", frame_hash(frame)
        return distinct_names(frame, self.said).reset_index(drop=True)

    def _answered(self, frame: pd.DataFrame, task: Task) -> pd.DataFrame:
        """The rows that have an answer: nothing can be learnt from the others, nor tested on them."""
        whole = len(frame)
        self.kept = np.flatnonzero(has_answer(frame, self.target_names, task))
        if len(self.kept) == whole:
            return frame
        names = ", ".join(f"'{name}'" for name in self.target_names)
        if len(self.kept) < 3:
            got = f"target {names} is missing in {whole - len(self.kept):,} of {whole:,} rows"
            raise UserError(got, "a target in at least 3 rows", "choose another target")
        self.said.append(f"{whole - len(self.kept):,} of {whole:,} rows left out: they have no target {names}")
        if self.given:
            self.given = {
                split: np.searchsorted(self.kept, rows[np.isin(rows, self.kept)]) for split, rows in self.given.items()
            }
            if not len(self.given["train"]):
                raise UserError(f"no training row has a target {names}", "answers to learn from", "check the splits")
        return frame.iloc[self.kept].reset_index(drop=True)

    def _split(self, frame: pd.DataFrame, split_column: str | None, group: str | None, time: str | None) -> None:
        """Read off what the split is to respect."""
        for key, name in (("split_column", split_column), ("group", group), ("time", time)):
            if name is not None and (name not in frame.columns or name in self.target_names):
                got = f"table.{key}: " + ("the target" if name in self.target_names else f"no column '{name}'")
                others = [column for column in frame.columns if column not in self.target_names]
                raise UserError(got, "a column of the table", nearest(name, others))
        if group is not None and time is not None:
            raise UserError("table: both group and time", "one of them", "leave one out, or give a split_column")
        if split_column is not None:
            self.given = split_of_rows(pd.Series(frame[split_column]))
        elif self.given is None and (name := names_splits(frame)) not in (None, *self.target_names, group, time):
            self.said.append(f"column '{name}' names splits, yet is an input: --split-column {name} splits by it")
        if group is not None:
            labels = as_words(pd.Series(frame[group]))
            if labels.isna().any():
                raise UserError(f"group column '{group}' has blanks", "a group in every row", "fill or drop those rows")
            self.groups = labels.to_numpy(str)
            self.said.append(f"{labels.nunique():,} groups of column '{group}' stay whole; it is no input")
        if time is not None:
            self.times = times_of(pd.Series(frame[time]))

    def _inputs(self, frame: pd.DataFrame, drop: tuple[str, ...], used: list[str]) -> pd.DataFrame:
        """The columns but for the target, those used otherwise and row numbers."""
        for name in drop:
            if name not in frame.columns:
                raise UserError(f"table.drop: no column '{name}'", "columns of the table", nearest(name, frame.columns))
        if self.time is not None and pd.api.types.is_numeric_dtype(frame.dtypes[self.time]):
            used = [*used, self.time]
            self.said.append(f"column '{self.time}' left out: later rows have other values of it")
        inputs = frame.drop(columns=list(dict.fromkeys([*self.target_names, *drop, *used])))
        for name in [name for name, column in inputs.items() if columns_.counts_rows(column)]:
            self.said.append(f"column '{name}' left out: it counts the rows")
            inputs = inputs.drop(columns=name)
        return inputs

    def _cleaned(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """Numbers as floats, words stripped; what is a category by its type is remembered as one."""
        known = {str(name): order for name, column in inputs.items() if (order := _order(column))}
        self.wishes = replace(self.wishes, orders={**known, **self.wishes.orders})
        self.categories = {str(name) for name, column in inputs.items() if _fixed(column) or name in self.wishes.orders}
        cleaned = {
            name: as_words(column) if name in self.categories else _clean(column) for name, column in inputs.items()
        }
        inputs = pd.DataFrame(cleaned, index=inputs.index)
        self._check_gaps(inputs)
        return inputs

    def _check_gaps(self, inputs: pd.DataFrame) -> None:
        gaps = inputs.isna().sum()
        if not inputs.shape[1] and not self.albums:
            raise UserError(f"{self.name} has no column beside the target", "something to predict from", "add columns")
        gaps = gaps[gaps < len(inputs)]  # of a column without any value is said that it is left out
        if gaps.sum():
            of = f"{int((gaps > 0).sum())} of {len(gaps)} columns"
            taken = f"numbers take the training rows' {self.wishes.impute}, words 'unknown'"
            self.said.append(f"{int(gaps.sum()):,} missing values in {of}: {taken}")

    def prepare(self, train: Any) -> tuple[Schema, dict[str, Tensor]]:
        rows = np.asarray(train)
        self.said = list(self._read)
        part = self.frame.iloc[rows]
        columns = columns_.fit(part, self.said, self.wishes, categories=self.categories, time=self.time)
        if not columns and not self.albums:
            raise UserError(
                f"{self.name}: no column varies in the training rows", "something to predict from", "add columns"
            )
        entries = sum(len(column.entries) for column in columns)
        if entries > len(columns):
            self.said.append(columns_.summary(columns))
        apart = self.apart == "apart" or (self.apart == "auto" and bool(self.albums))
        scaled = self.wishes.scale != "none"
        self.inputs, fields, x = fit_inputs(self.frame, columns, self.albums, rows, apart, scaled, self.said)
        self.schema = Schema(self._one(fields), self.asked(rows))
        return self.schema, {"input": self._one(x), "target": torch.from_numpy(self.targets)}

    def asked(self, rows: NDArray[Any]) -> Field:
        """The target with what the training rows say of it."""
        y, target = self.targets[rows], self.target
        if target.kind == "category":
            return replace(target, counts=tuple(np.bincount(y, minlength=target.classes or 0).tolist()))
        if target.kind != "number":
            return target
        mean, std = of_numbers(y.reshape(len(y), -1))
        return replace(target, mean=mean, std=std)

    def transform(self, raw: Any) -> Batch:
        """A frame, the path of a table, a row or rows as mappings, or rows in the order of the training columns.

        Paths of images are relative to the table's folder, which a frame may name in `frame.attrs["folder"]`.
        """
        used = columns_.sources(self.columns)
        words = [name for name in used if name not in columns_.plain(self.columns)]
        frame = match(frame_of(raw, used, words), used, [*used, *self.target_names])
        beside = raw if isinstance(raw, str | Path) else Path(getattr(raw, "attrs", {}).get("folder", "."), "rows")
        return {"input": self._one(self.inputs.encode(frame, Path(beside).expanduser().absolute().parent))}

    @property
    def columns(self) -> list[Any]:
        """What each column of the table is read as."""
        return self.inputs.columns

    def _one(self, parts: dict[str, Any]) -> Any:
        """Several inputs by name, a single one as it is."""
        return parts if len(parts) > 1 else next(iter(parts.values()))

    def state(self) -> dict[str, Any]:
        return {
            "title": self.name,
            "target": self.target_names,
            "inputs": self.inputs.to_json(),
            "schema": self.schema.to_json(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> table:
        source = cls.__new__(cls)
        source.name, source.target_names = state["title"], state["target"]
        source.inputs, source.schema = Inputs.from_json(state["inputs"]), Schema.from_json(state["schema"])
        return source

    @property
    def fingerprint(self) -> str:
        return self._fingerprint


def _clean(column: pd.Series) -> pd.Series:
    """Numbers as floats, words stripped, dates as they are; each value by itself."""
    if column.dtype.kind == "M":
        return column
    return pd.Series(as_numbers(column), column.index) if kind_of(column) == "number" else as_words(column)


def _fixed(column: pd.Series) -> bool:
    """Whether the type of a column says that its values are categories, even where they look like numbers."""
    return isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(column.dtype)


def _order(column: pd.Series) -> list[str]:
    """The words of an ordered categorical column, the least first."""
    kind = column.dtype
    if not isinstance(kind, pd.CategoricalDtype) or not kind.ordered:
        return []
    return as_words(pd.Series(kind.categories)).to_list()
