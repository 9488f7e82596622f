"""Folders of pictures, by class or with a table of labels."""

from __future__ import annotations

import os
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


def test_pictures_of_every_kind_in_one_folder(repeats: Check, tmp_path: Path) -> None:
    """Grey, colour, CMYK, 16 bits, palettes, turned, moving; what cannot be read is named and nothing else is lost."""
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray((DIGITS.images[7] * 4000).astype(np.uint16))
    kinds: dict[str, Callable[[Path, Image.Image], object]] = {
        "grey.png": lambda path, image: image.save(path),
        "colour.PNG": lambda path, image: image.convert("RGB").save(path),
        "print.jpg": lambda path, image: image.convert("CMYK").save(path),
        "deep.png": lambda path, image: deep.save(path),
        "few.png": lambda path, image: image.convert("P").save(path, transparency=0),
        "turned.jpeg": lambda path, image: image.save(path, exif=turned),
        "moving.gif": lambda path, image: image.save(path, save_all=True, append_images=[image.rotate(90)]),
        "small.webp": lambda path, image: image.resize((5, 7)).save(path),
        "scan.tiff": lambda path, image: image.save(path),
    }
    files: list[Path] = []
    for number in range(72):
        name, save = list(kinds.items())[number % len(kinds)]
        path = tmp_path / "mixed" / ("even" if DIGITS.target[number] % 2 == 0 else "odd") / f"{number:02}-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, digit(number))
        files.append(path)
    (tmp_path / "mixed/nobody").mkdir()
    (tmp_path / "mixed/even/empty.png").write_bytes(b"")
    (tmp_path / "mixed/odd/notes.txt").write_text("odd ones")
    (tmp_path / "mixed/odd/cut.jpg").write_bytes(files[2].read_bytes()[:100])
    files.sort()
    verdict = repeats(
        "mixed",
        task="classification into 2 classes, from the names of the sub-folders",
        truth=[path.parent.name for path in files],
        write=lambda rows: [files[row] for row in rows],
    )
    assert verdict["question"]["rows"] == 72
    assert verdict["question"]["said"][1:4] == [
        f"left alone as no images: odd{os.sep}notes.txt",
        "folders without images are no classes: nobody",
        f"2 of 74 images left out as unreadable: even{os.sep}empty.png, odd{os.sep}cut.jpg",
    ]
