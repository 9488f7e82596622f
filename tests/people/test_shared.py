"""Well-known data from files: splits side by side, a pattern of files, dates, texts, pictures in Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = pytest.mark.shows("P1")

Check = Callable[..., dict[str, Any]]


def writer(frame: pd.DataFrame, target: str, place: Path) -> Callable[[Any], Path]:
    """Rows of a frame, without the target, as CSV."""

    def write(rows: Any) -> Path:
        frame.iloc[rows].drop(columns=target).to_csv(place / "held.csv", index=False)
        return place / "held.csv"

    return write


def test_housing(shared_data: Path, repeats: Check, tmp_path: Path) -> None:
    """Gaps in total_bedrooms, words in ocean_proximity."""
    frame = pd.read_csv(shared_data / "tables/housing.csv")[::40]
    frame.to_csv(tmp_path / "housing.csv", index=False)
    target = "median_house_value"
    verdict = repeats(
        "housing.csv",
        *("--target", target),
        task="regression of one number, from the integer target",
        truth=frame[target],
        write=writer(frame, target, tmp_path),
    )
    assert any(line.startswith("1 of 20") or "missing values in 1 of" in line for line in verdict["question"]["said"])


@pytest.mark.parametrize("data", ["census", "census/adult-*.csv"])
def test_census_with_train_and_test_side_by_side(data: str, shared_data: Path, repeats: Check, tmp_path: Path) -> None:
    """Missing values are written as ?; the file of test rows is predicted as it is, target and all."""
    (tmp_path / "census").mkdir()
    parts: list[pd.DataFrame] = []
    for split, rows in (("test", 300), ("train", 700)):
        lines = (shared_data / f"tables/adult-{split}.csv").read_text().splitlines(keepends=True)[: rows + 1]
        (tmp_path / f"census/adult-{split}.csv").write_text("".join(lines))
        parts.append(pd.read_csv(tmp_path / f"census/adult-{split}.csv"))
    repeats(
        data,
        *("--target", "income"),
        task="classification into 2 classes, from the word target",
        truth=pd.concat(parts)["income"],
        write=lambda rows: tmp_path / "census/adult-test.csv",
    )


def test_film_reviews(shared_data: Path, repeats: Check, tmp_path: Path) -> None:
    """One column of text; train, valid and test as Parquet."""
    (tmp_path / "reviews").mkdir()
    for split, rows in (("train", 400), ("valid", 60), ("test", 120)):
        pd.read_parquet(shared_data / f"sst2/{split}.parquet")[:rows].to_parquet(tmp_path / f"reviews/{split}.parquet")
    parts = [pd.read_parquet(tmp_path / f"reviews/{split}.parquet") for split in ("test", "train", "valid")]
    verdict = repeats(
        "reviews",
        *("--target", "label"),
        task="classification into 2 classes, from the integer target",
        truth=pd.concat(parts)["label"],
        write=lambda rows: tmp_path / "reviews/test.parquet",
    )
    assert any("holds texts" in line for line in verdict["question"]["said"])


@pytest.mark.parametrize(
    ("name", "target", "time"),
    [
        ("daily-min-temperatures", "Temp", "Date"),
        ("airline-passengers", "Passengers", "Month"),
        ("monthly-sunspots", "Sunspots", "Month"),
    ],
)
def test_series_by_time(name: str, target: str, time: str, shared_data: Path, repeats: Check, tmp_path: Path) -> None:
    frame = pd.read_csv(shared_data / f"series/{name}.csv")[-600:]
    frame.to_csv(tmp_path / f"{name}.csv", index=False)
    repeats(
        f"{name}.csv",
        *("--target", target, "--time", time),
        task="regression of one number",
        truth=frame[target],
        write=writer(frame, target, tmp_path),
    )


def test_pollution_in_files_a_year(shared_data: Path, repeats: Check, tmp_path: Path) -> None:
    """A pattern of files, an index that counts on from one to the next."""
    frame = pd.read_csv(shared_data / "series/pollution.csv").dropna(subset="pm2.5")[::120]
    for year, rows in frame.groupby("year"):
        rows.to_csv(tmp_path / f"pollution-{year}.csv", index=False)
    repeats(
        "pollution-*.csv",
        *("--target", "pm2.5"),
        task="regression of one number, from the integer target",
        truth=frame["pm2.5"],
        write=writer(frame, "pm2.5", tmp_path),
    )
