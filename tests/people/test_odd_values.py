"""Tables whose columns, names or answers are as odd as people's are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

pytestmark = pytest.mark.shows("P1")

Check = Callable[..., dict[str, Any]]
RANDOM = np.random.default_rng(0)
Made = tuple[pd.DataFrame, str, tuple[str, ...]]  # values as written, how the task is said, words of the command line


def wine() -> pd.DataFrame:
    return datasets.load_wine(as_frame=True).frame


def diabetes() -> pd.DataFrame:
    return datasets.load_diabetes(as_frame=True, scaled=False).frame


def strings(values: Any, form: str) -> list[str]:
    return [format(value, form) for value in values]


def thousands() -> Made:
    """A target such as 12,345 and a column such as 1 234."""
    frame = diabetes()
    frame["s1"] = [text.replace(",", " ") for text in strings(frame["s1"] * 37, ",.0f")]
    return frame.assign(target=strings(frame["target"] * 91, ",.0f")), "regression of one number, from the integer", ()


def money_and_shares() -> Made:
    """$1,234.50 as target, 12.5% as a column."""
    frame = diabetes()
    return (
        frame.assign(
            target=[f"${text}" for text in strings(frame["target"] * 10, ",.2f")], bmi=strings(frame["bmi"], ".1f")
        ).assign(bmi=lambda f: f["bmi"] + "%"),
        "regression of one number, from the integer target",
        (),
    )


def dates_and_answers() -> Made:
    frame = wine()
    days = pd.Timestamp("2021-01-01") + pd.to_timedelta(RANDOM.integers(0, 700, len(frame)), "D")
    yes = np.where(RANDOM.random(len(frame)) < 0.5, "yes", "no")
    return frame.assign(day=days.strftime("%d.%m.%Y"), fresh=yes), "classification into 3 classes, from the integer", ()


def mixed_types() -> Made:
    """Codes of digits and letters, with zeros in front and gaps; words among numbers."""
    frame = wine()
    codes = RANDOM.choice(["007", "012", "12A", "B4", "7", ""], len(frame))
    frame["hue"] = frame["hue"].astype(str).where(RANDOM.random(len(frame)) > 0.03, "n/k")
    return frame.assign(code=codes), "classification into 3 classes", ()


def gaps() -> Made:
    frame = wine()
    for name, sign in zip(frame.columns[:4], ("NA", "?", "-", "n.a."), strict=True):
        frame[name] = frame[name].astype(object).where(RANDOM.random(len(frame)) > 0.1, sign)
    return frame, "classification into 3 classes", ()


def an_index_and_an_identifier() -> Made:
    frame = wine()
    frame.insert(0, "Unnamed: 0", range(len(frame)))
    frame.insert(1, "id", [f"W-{n:05}" for n in RANDOM.permutation(len(frame))])
    return frame, "classification into 3 classes", ()


def constant_and_empty_columns() -> Made:
    return wine().assign(same=7, none=np.nan, unit="g/l"), "classification into 3 classes", ()


def a_thousand_columns() -> Made:
    frame = wine()
    noise = pd.DataFrame(RANDOM.normal(size=(len(frame), 1000)).round(3), columns=[f"gene {n}" for n in range(1000)])
    return pd.concat([frame, noise], axis=1), "classification into 3 classes", ()


def one_in_thirty() -> Made:
    frame = wine()
    rare = np.isin(np.arange(len(frame)), RANDOM.choice(len(frame), 6, replace=False))
    return frame.assign(target=np.where(rare, "sick", "healthy")), "classification into 2 classes, from the word", ()


def truth_values() -> Made:
    return wine().assign(target=lambda f: f["target"] == 1), "classification into 2 classes, from the boolean", ()


def yes_and_no() -> Made:
    frame = wine()
    return (
        frame.assign(target=np.where(frame["target"] == 1, "Yes", "No")),
        "classification into 2 classes, from the",
        (),
    )


def zero_and_one_as_floats() -> Made:
    frame = wine()
    return frame.assign(target=(frame["target"] == 1).astype(float)), "classification into 2 classes, from the int", ()


def years() -> Made:
    frame = wine()
    years = (2000 + frame["proline"].rank(pct=True) * 12).astype(int)
    return frame.drop(columns="target").assign(target=years), "regression of one number, from the integer target", ()


def names_with_marks() -> Made:
    """Classes and columns with commas, quotes, line breaks, spaces around them and other scripts."""
    frame = wine()
    names = np.asarray(['Barolo, "Riserva"', "Grignolino d’Asti — 葡萄", " Barbera\nd'Asti "])
    renamed = {"alcohol": 'alcohol, "vol %"', "ash": " ash ", "hue": "Farbton (größe)", "target": "Sorte, žluť"}
    return frame.assign(target=names[frame["target"]]).rename(columns=renamed), "classification into 3 classes", ()


def columns_of_one_name() -> Made:
    frame = wine().iloc[:, [0, 1, 2, 6, 9, 13]]
    return frame.set_axis(["x", "y", "x", "x ", "y.1", "target"], axis=1), "classification into 3 classes", ()


def spaces_everywhere() -> Made:
    frame = wine()
    names = np.asarray(["  red", "white  ", " rosé "])
    return (
        frame.assign(target=names[frame["target"]], ash=[f"  {value} " for value in frame["ash"]]),
        "classification into 3 classes, from the word target",
        (),
    )


def patients() -> Made:
    return wine().assign(patient=lambda f: f.index // 3), "classification into 3 classes", ("--group", "patient")


def later_rows() -> Made:
    frame = diabetes()
    when = pd.Timestamp("2020-01-01") + pd.to_timedelta(RANDOM.permutation(len(frame)), "D")
    return frame.assign(when=when.strftime("%Y-%m-%d")), "regression of one number", ("--time", "when")


def words_of_the_publisher() -> Made:
    frame = wine()
    parts = RANDOM.choice(["Training", "Validation", "Test"], len(frame), p=[0.6, 0.15, 0.25])
    return frame.assign(subset=parts), "classification into 3 classes", ("--split-column", "subset")


ODD = [
    thousands,
    money_and_shares,
    dates_and_answers,
    mixed_types,
    gaps,
    an_index_and_an_identifier,
    constant_and_empty_columns,
    a_thousand_columns,
    one_in_thirty,
    truth_values,
    yes_and_no,
    zero_and_one_as_floats,
    years,
    names_with_marks,
    columns_of_one_name,
    spaces_everywhere,
    patients,
    later_rows,
    words_of_the_publisher,
]


@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)
def test_odd_tables(make: Callable[[], Made], repeats: Check, tmp_path: Path) -> None:
    frame, task, words = make()
    target = str(frame.columns[-1] if "target" not in frame else "target")
    target = next(name for name in ("target", "Sorte, žluť") if name in frame)
    frame.to_csv(tmp_path / "rows.csv", index=False)

    def held(rows: Any) -> Path:
        frame.iloc[rows].drop(columns=target).to_csv(tmp_path / "held.csv", index=False)
        return tmp_path / "held.csv"

    answers = frame[target]
    if task.startswith("regression") and answers.dtype == "str":
        answers = answers.str.replace(r"[$,]", "", regex=True).astype(float)
    elif answers.dtype == "str":
        answers = answers.str.strip()
    elif answers.dtype.kind == "f" and task.startswith("classification"):
        answers = answers.astype(int)
    repeats("rows.csv", "--target", target, *words, task=task, truth=answers, write=held)
