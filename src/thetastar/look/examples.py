"""A first look with one's own eyes: some images of each class, or some rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from thetastar.functional.palettes import palette
from thetastar.look.findings import Section
from thetastar.look.sheet import sheet
from thetastar.look.subject import Rows, Subject

EACH, CLASSES, ROWS, COLUMNS = 8, 20, 8, 30


def examples(subject: Subject) -> Section:
    """Examples of the training split, drawn at random."""
    train = subject.splits["train"]
    if subject.images is None:
        return _rows(subject)
    if subject.masks is not None:
        return _masked(subject)
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


def _masked(subject: Subject) -> Section:
    """Images above their masks."""
    rows = subject.sample(subject.splits["train"], "examples", 2 * EACH)
    shown, count = with_masks(subject, rows)
    lines = [(name, [(row + first, "") for row in part]) for part in np.array_split(np.arange(len(rows)), 2)
             for name, first in (("images", 0), ("masks", count))]  # fmt: skip
    return Section(
        name="Examples",
        looked_at="images and masks of train",
        said=(f"{len(rows)} images drawn at random from train, each above its mask; white is void.",),
        picture=sheet(shown, [(name, tiles) for name, tiles in lines if tiles]),
        alt=f"Contact sheet of {subject.title}, images above their masks",
    )


def with_masks(subject: Subject, rows: Rows) -> tuple[Subject, int]:
    """Some rows alone, their masks behind them as further images; and how many they are."""
    assert subject.images is not None
    assert subject.masks is not None
    images, masks = subject.images[torch.from_numpy(rows)], subject.masks[torch.from_numpy(rows)]
    return replace(subject, images=torch.cat([three(images), in_colours(masks, len(subject.names))])), len(rows)


def three(images: Tensor) -> Tensor:
    """Bytes in three channels."""
    images = images if images.dtype == torch.uint8 else (images.clamp(0, 1) * 255).round().byte()
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images[:, :3]


def in_colours(masks: Tensor, classes: int) -> Tensor:
    """(rows, height, width) classes → (rows, 3, height, width) bytes."""
    return torch.from_numpy(palette(classes))[masks.long()].permute(0, 3, 1, 2)


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
