"""Real tables in the formats in which people keep them: what is asked of them is found, predictions repeat the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

pytestmark = pytest.mark.shows("P1")

Write = Callable[[pd.DataFrame, Path], object]
Check = Callable[..., dict[str, Any]]


def known(name: str) -> pd.DataFrame:
    """A table of scikit-learn's, its classes by name."""
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = bunch.frame.copy()
    if "target_names" in bunch and isinstance(bunch.target_names[0], str):
        frame["target"] = np.asarray(bunch.target_names)[frame["target"]]
    return frame


def shared(folder: Path, name: str, rows: int) -> pd.DataFrame:
    """The first rows of a shared table, as its file writes them."""
    return pd.read_csv(folder / name, nrows=rows)


def comma(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False)


def packed(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, compression="gzip")


def tabs(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, sep="\t")


def spreadsheet(frame: pd.DataFrame, path: Path) -> None:
    """What Excel calls Unicode text."""
    frame.to_csv(path, index=False, sep="\t", encoding="utf-16", lineterminator="\r\n")


def german(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, sep=";", decimal=",", encoding="cp1252", errors="replace")


def marked(frame: pd.DataFrame, path: Path) -> None:
    """UTF-8 with a byte order mark, as Excel saves CSV."""
    frame.to_csv(path, index=False, encoding="utf-8-sig")


def lines(frame: pd.DataFrame, path: Path) -> None:
    frame.to_json(path, orient="records", lines=True, double_precision=15)


def array(frame: pd.DataFrame, path: Path) -> None:
    path.write_text(json.dumps(json.loads(frame.to_json(orient="records", double_precision=15)), indent=1))


TABLES: dict[str, tuple[Callable[[], pd.DataFrame], Write, str]] = {
    "iris.csv": (lambda: known("iris"), comma, "classification into 3 classes, from the word target"),
    "wine.tsv": (lambda: known("wine"), tabs, "classification into 3 classes, from the word target"),
    "cancer.parquet": (lambda: known("breast_cancer"), pd.DataFrame.to_parquet, "classification into 2 classes"),
    "diabetes.csv": (lambda: known("diabetes"), german, "regression of one number"),
    "digits.csv.gz": (lambda: known("digits")[::3], packed, "classification into 10 classes, from the integer target"),
    "iris.feather": (lambda: known("iris"), pd.DataFrame.to_feather, "classification into 3 classes"),
    "wine.jsonl": (lambda: known("wine"), lines, "classification into 3 classes"),
    "iris.json": (lambda: known("iris"), array, "classification into 3 classes"),
    "wine.csv": (lambda: known("wine"), marked, "classification into 3 classes"),
    "cancer.txt.tsv": (lambda: known("breast_cancer"), spreadsheet, "classification into 2 classes"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_scikit_learn_in_every_format(name: str, repeats: Check, tmp_path: Path) -> None:
    make, write, task = TABLES[name]
    frame = make().reset_index(drop=True)
    write(frame, tmp_path / name)

    def held(rows: Any) -> Path:
        path = tmp_path / f"held-{name}"
        write(frame.iloc[rows].drop(columns="target").reset_index(drop=True), path)
        return path

    repeats(name, "--target", "target", task=task, truth=frame["target"], write=held)
