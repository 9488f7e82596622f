"""A first look with one's own eyes: some images of each class, or some rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from thetastar.look.findings import Section
from thetastar.look.sheet import sheet
from thetastar.look.subject import Subject

EACH, CLASSES, ROWS, COLUMNS = 8, 20, 8, 30


def examples(subject: Subject) -> Section:
    """Examples of the training split, drawn at random."""
    train = subject.splits["train"]
    if subject.images is None:
        return _rows(subject)
    groups: list[tuple[str, list[tuple[int, str]]]] = []
    if subject.labels is not None and subject.names:
        for code, name in enumerate(subject.names[:CLASSES]):
            of = subject.sample(train[subject.labels[train] == code], f"examples {code}", EACH)
            groups.append((name, [(int(row), "") for row in of]))
    else:
        groups.append(("", [(int(row), "") for row in subject.sample(train, "examples", 5 * EACH)]))
    more = f" The first {CLASSES} of {len(subject.names)} classes." if len(subject.names) > CLASSES else ""
    return Section(
        name="Examples",
        looked_at="inputs and labels of train",
        said=(f"Up to {EACH} images a class, drawn at random from train.{more}",),
        picture=sheet(subject, groups),
        alt=f"Contact sheet of {subject.title}, one line a class",
    )


def _rows(subject: Subject) -> Section:
    rows = subject.sample(subject.splits["train"], "examples", ROWS)
    width = subject.frame.shape[1]
    names = [str(name) for name in subject.frame.columns[:COLUMNS]]
    part = subject.frame.iloc[rows]
    cells = [[_cell(value) for value in part[name]] for name in names]
    heads = ["row", *names]
    table = [[int(row), *line] for row, line in zip(rows, zip(*cells, strict=True), strict=True)] if names else []
    if subject.labels is not None and table:
        heads.insert(1, subject.target)
        seen = np.isin(rows, subject.labelled)
        for line, row, known in zip(table, rows, seen, strict=True):
            value = subject.labels[row].item() if known else None
            line.insert(1, value if value is None or not subject.names else subject.names[int(value)])
    return Section(
        name="Examples",
        looked_at="inputs and labels of train",
        said=(f"The first {COLUMNS} of {width:,} columns.",) if width > COLUMNS else (),
        heads=tuple(heads),
        rows=tuple(tuple(line) for line in table),
    )


def _cell(value: object) -> object:
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return float(value) if isinstance(value, float | np.floating) else int(value)
    text = str(value).removesuffix(" 00:00:00")  # of a date
    return text if len(text) <= 60 else text[:59] + "…"
