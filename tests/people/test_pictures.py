"""Folders of pictures, by class or with a table of labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import datasets

pytestmark = pytest.mark.shows("P1")

Check = Callable[..., dict[str, Any]]
DIGITS = datasets.load_digits()
COUNT = 120


def digit(number: int) -> Image.Image:
    """8×8, grey."""
    return Image.fromarray((DIGITS.images[number] * 15).astype(np.uint8))


def test_digits_by_class(repeats: Check, tmp_path: Path) -> None:
    files: list[tuple[Path, str]] = []
    for number in range(COUNT):
        path = tmp_path / f"scans/{DIGITS.target[number]}/{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digit(number).save(path)
        files.append((path, path.parent.name))
    files.sort()
    repeats(
        "scans",
        task="classification into 10 classes, from the names of the sub-folders",
        truth=[label for _, label in files],
        write=lambda rows: [files[row][0] for row in rows],
    )


def tags(number: int) -> str:
    found = ["even"] if DIGITS.target[number] % 2 == 0 else []
    return "|".join([*found, *(["large"] if DIGITS.target[number] > 4 else [])]) or "none"


LABELS: dict[str, tuple[Callable[[int], Any], str]] = {
    "label": (lambda n: "even" if DIGITS.target[n] % 2 == 0 else "odd", "classification into 2 classes, from the word"),
    "tags": (tags, "multi-label classification into 3 labels"),
    "target": (lambda n: float(DIGITS.images[n].mean()), "regression of one number, from the real target"),
}


@pytest.mark.parametrize("column", LABELS)
def test_digits_with_a_table_of_labels(column: str, repeats: Check, tmp_path: Path) -> None:
    """A class, several labels or a number for each picture."""
    answer, task = LABELS[column]
    (tmp_path / "scans/pictures").mkdir(parents=True)
    names = [f"pictures/{number:04}.png" for number in range(COUNT)]
    for number, name in enumerate(names):
        digit(number).save(tmp_path / "scans" / name)
    answers = [answer(number) for number in range(COUNT)]
    pd.DataFrame({"file": names, column: answers}).to_csv(tmp_path / "scans/labels.csv", index=False)
    truth = pd.Series(answers).str.get_dummies().to_numpy() if column == "tags" else answers
    repeats(
        "scans",
        task=task,
        truth=truth,
        write=lambda rows: [tmp_path / "scans" / names[row] for row in rows],
    )
