"""The data set under examination: raw inputs, splits, and the labels that may be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar import registry
from thetastar.data.prepare.files import read_files
from thetastar.data.prepare.reading import as_numbers, as_words, distinct_names, kind_of
from thetastar.data.prepare.recognising import date_form, dates, number_style, numbers
from thetastar.data.prepare.several import find_targets
from thetastar.data.prepare.splitting import split_of_rows, times_of
from thetastar.data.prepare.targets import read_target
from thetastar.data.resident import resident
from thetastar.data.table import table
from thetastar.defaults import data_spec, open_stream
from thetastar.errors import UserError, nearest
from thetastar.functional.keys import mix
from thetastar.functional.masks import VOID
from thetastar.functional.splits import split_rows
from thetastar.look.findings import Finding
from thetastar.protocols import Augment, Field

SAMPLE = 20_000  # rows that examinations beyond counting use at most
WIDE = 300  # columns that they use at most
SPLITS = ("train", "valid", "test")
Rows = NDArray[np.int64]


@dataclass(kw_only=True)
class Subject:
    """A data set as it came, before any preparation.

    Attributes:
        title: what messages call it.
        frame: (rows, columns) of the inputs as read; for images none.
        images: (rows, channels, height, width) or None.
        splits: row numbers of train, valid and test.
        target: name of the target, "" where there is none.
        labels: (rows,) class numbers or numbers; meaningless outside `labelled`.
        labelled: rows whose labels may be seen: those of train and valid that have one, never of test.
        names: of the classes; () for a number.
        masks: (rows, height, width) classes of the images' pixels or None; void outside `labelled`.
        said: one line a decision.
        findings: what reading alone showed.
        augment: changes of training images that the data ask for.
    """

    title: str
    frame: pd.DataFrame
    images: Tensor | None = None
    splits: Mapping[str, Rows]
    target: str = ""
    labels: NDArray[Any] | None = None
    labelled: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    names: tuple[str, ...] = ()
    said: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    augment: tuple[Augment, ...] = ()
    masks: Tensor | None = None

    @property
    def count(self) -> int:
        return len(self.frame) if self.images is None else len(self.images)

    @property
    def task(self) -> str:
        if self.masks is not None:
            return "segmentation"
        return "no target" if self.labels is None else "classification" if self.names else "regression"

    @property
    def where_labelled(self) -> str:
        return f"inputs and labels of train and valid ({len(self.labelled):,} rows); the test split not at all"

    def sample(self, rows: Rows, purpose: str, most: int = SAMPLE) -> Rows:
        """At most so many of the rows, drawn by a fixed seed, in order."""
        if len(rows) <= most:
            return rows
        return np.sort(np.random.Generator(np.random.PCG64(mix("look", purpose))).choice(rows, most, replace=False))


def subject_of(data: Any) -> Subject:
    """Read what a data spec names; labels of its test split are dropped here, so that no examination can see them."""
    spec = data_spec(data)
    registry.complete("data", spec)  # a slip in what was asked is refused; what is odd about the data is shown
    source = spec.get("source")
    if spec["name"] != "resident" or source is None:
        raise UserError(f"look at {spec['name']}", "rows: a data set, a file or a folder of images", "name its source")
    if isinstance(source, Mapping) and source["name"] == "table":
        _without_augment(spec)
        return _of_table(spec)
    stream = open_stream(spec)
    assert isinstance(stream, resident)
    inputs = stream.columns["input"]
    single = stream.schema.input
    if not isinstance(inputs, Tensor) or not isinstance(single, Field):
        raise UserError(f"look at {stream.source.name}", "one table, or images", "look at its parts")
    images = inputs if single.kind == "image" else None
    if images is None:
        _without_augment(spec)
    flat = inputs.reshape(len(inputs), -1).numpy() if images is None else np.empty((len(inputs), 0))
    names = single.names if len(single.names) == flat.shape[1] else [f"x{i}" for i in range(flat.shape[1])]
    found = Subject(
        title=stream.source.name,
        frame=pd.DataFrame(flat, columns=list(names)),
        images=images,
        splits=stream.rows,
        said=list(stream.said),
        augment=stream.augment,
    )
    targets = stream.columns.get("target")
    if targets is not None and stream.schema.target is not None and stream.schema.target.kind == "mask":
        found.labelled = np.sort(np.concatenate([stream.rows["train"], stream.rows["valid"]]))
        found.target, found.names = "mask", stream.schema.target.names
        found.masks = torch.full_like(targets, VOID)
        found.masks[found.labelled] = targets[found.labelled]
    if targets is not None and targets.ndim == 1 and stream.schema.target is not None:
        _label(found, "class" if stream.schema.target.classes else "target", targets.numpy(), stream.schema.target)
    return found


def _without_augment(spec: Mapping[str, Any]) -> None:
    if spec.get("augment"):
        raise UserError("augmentation of rows of columns", "images, which can be shown", "leave out --augment")


def _label(found: Subject, name: str, values: NDArray[Any], target: Field, known: Any = None) -> None:
    """Keep the labels of train and valid; those of test are overwritten."""
    seen = np.sort(np.concatenate([found.splits["train"], found.splits["valid"]]))
    found.labelled = seen if known is None else seen[np.asarray(known)[seen]]
    hidden = np.full(len(values), -1 if target.kind == "category" else np.nan, dtype=values.dtype)
    hidden[found.labelled] = values[found.labelled]
    found.target, found.labels = name, hidden
    if target.kind == "category":
        found.names = target.names or tuple(str(i) for i in range(target.classes or 0))


def _of_table(spec: Mapping[str, Any]) -> Subject:
    """A table is read as it is, with the columns that training would leave out or refuse."""
    source = dict(spec["source"])
    said: list[str] = []
    title, frame, given = "table", source.get("frame"), None
    if frame is None:
        read = read_files(source["path"], said)
        title, frame, given = read.title, read.frame, read.given
    frame = distinct_names(frame, []).reset_index(drop=True)
    target = source.get("target")
    names = [] if target is None else find_targets(frame, target, title)
    aside = [*source.get("drop", ()), source.get("split_column"), source.get("group")]  # these are no inputs
    for name in [*aside, source.get("time")]:
        if name is not None and name not in frame.columns:
            raise UserError(f"{title} has no column '{name}'", "a column of the table", nearest(name, frame.columns))
    asked = _asked(frame, source)
    given = asked.pop("given") or given
    frame = frame.drop(columns=[name for name in dict.fromkeys(aside) if name in frame.columns and name not in names])
    found = Subject(title=title, frame=frame, splits={}, said=said)
    try:
        stream = open_stream(dict(spec)) if target is not None else None
    except UserError as error:
        stream = None
        found.findings.append(_refusal(error))
    if isinstance(stream, resident):
        assert isinstance(stream.source, table)
        kept = stream.source.kept  # rows without a target are in no split
        found.splits, found.said = {name: kept[rows] for name, rows in stream.rows.items()}, list(stream.said)
        paths = [album.name for album in getattr(stream.source, "albums", ())]
        found.frame = frame.drop(columns=paths)  # names of files are no values
    else:
        shares = {key: spec.get(key, default) for key, default in (("valid", 0.15), ("test", 0.2))}
        found.splits = split_rows(len(frame), None, given, **shares, seed=spec.get("split_seed", 0), **asked)
        sizes = " / ".join(f"{len(found.splits[name]):,} {name}" for name in SPLITS)
        drawn = (
            "whole groups" if source.get("group") else "in order of time" if source.get("time") else "drawn at random"
        )
        found.said.append(f"{sizes} rows ({'as given' if given else drawn})")
    if target is None:
        found.said.append("no target named (--target COLUMN): leakage, balance and labels are not examined")
    elif len(names) > 1 or (stream is not None and stream.schema.target and stream.schema.target.kind == "categories"):
        found.frame = found.frame.drop(columns=names)
        found.said.append("several answers a row: leakage, balance and labels are not examined")
    else:
        _read_labels(found, names[0], source.get("task", "auto"))
    found.frame = _meant(found.frame, found.findings)
    return found


def _meant(frame: pd.DataFrame, findings: list[Finding]) -> pd.DataFrame:
    """Words that are written numbers or dates as these, as training reads them; without columns that cannot be read."""
    columns: dict[str, pd.Series] = {}
    for name, column in frame.items():
        try:
            written = kind_of(column) == "words" and not isinstance(column.dtype, pd.CategoricalDtype)
            words = as_words(column) if written else None
        except UserError as error:
            if frame.shape[1] == 1:
                raise  # nothing is left to look at
            odd = "columns that cannot be read"
            findings.append(Finding(what=odd, evidence=error.got, severity="medium", columns=(str(name),)))
            continue
        style = number_style(words) if words is not None else None
        form = date_form(words) if words is not None and style is None else None
        if words is not None and style:  # plain numbers with words among them are a finding
            column = pd.Series(numbers(words, style), column.index)
        elif words is not None and form:
            column = dates(words, form).dt.tz_localize(None)
        columns[str(name)] = column
    return pd.DataFrame(columns, index=frame.index)


def _asked(frame: pd.DataFrame, source: Mapping[str, Any]) -> dict[str, Any]:
    """What the splits are to respect; where a column does not say it, that is a mistake rather than a finding."""
    part, group, time = (source.get(name) for name in ("split_column", "group", "time"))
    return {
        "given": split_of_rows(pd.Series(frame[part])) if part else None,
        "groups": as_words(pd.Series(frame[group])).fillna("").to_numpy(str) if group else None,
        "times": times_of(pd.Series(frame[time])) if time else None,
    }


def _refusal(error: UserError) -> Finding:
    return Finding(
        what="training refuses these data as they are",
        evidence=error.got,
        severity="high",
        suggestion=error.do or f"expected {error.expected}",
    )


def _read_labels(found: Subject, target: str, task: Any) -> None:
    """The target leaves the inputs; where it cannot be read, reading said why."""
    column = pd.Series(found.frame[target])
    found.frame = found.frame.drop(columns=target)
    read = as_numbers(column) if kind_of(column) == "number" else as_words(column)
    known = ~np.asarray(pd.isna(read))
    try:
        codes, kind = read_target(pd.Series(column[known]), task, [])
    except UserError as error:
        if not found.findings:
            found.findings.append(_refusal(error))
        return
    values = np.full(len(column), -1 if kind.kind == "category" else np.nan, codes.dtype)
    values[known] = codes
    _label(found, target, values, kind, known)
