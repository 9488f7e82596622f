"""The options of the command line about rows: which split they are in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thetastar.cli import main
from thetastar.terminal.training import short_name


@pytest.fixture
def visits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixty visits of fifteen patients, one a day."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(
        {
            "x": np.random.default_rng(0).normal(size=60),
            "patient": [f"p{n // 4}" for n in range(60)],
            "day": pd.date_range("2020-01-01", periods=60).strftime("%d.%m.%Y"),
            "part": ["train"] * 40 + ["valid"] * 10 + ["test"] * 10,
            "y": ["a", "b"] * 30,
        }
    )
    frame.to_csv(tmp_path / "visits.csv", index=False)
    return tmp_path / "visits.csv"


@pytest.mark.parametrize(
    ("option", "column", "line"),
    [
        ("--group", "patient", "whole groups, split seed 0"),
        ("--time", "day", "in order of time"),
        ("--split-column", "part", "train, valid, test as given"),
    ],
)
def test_fit_splits_as_asked(visits: Path, option: str, column: str, line: str) -> None:
    words = ["fit", str(visits), "--target", "y", option, column, "--model", "softmax", "--steps", "2", "--out", "run"]
    assert main([*words, "--json"]) == 0
    assert json.loads(Path("run/schema.json").read_text())["said"][-1].endswith(f"({line})")
    key = option.removeprefix("--").replace("-", "_")
    recipe = json.loads(Path("run/provenance.json").read_text())["recipe"]
    assert recipe["data"]["source"][key] == column


@pytest.mark.parametrize("verb", ["fit", "compare"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "yy"], "did you mean 'y'?"),
        (["--target", "y", "--group", "patent"], "no column 'patent'; expected a column of the table; did you mean"),
        (["--target", "y", "--split-column", "patient"], "split column 'patient' holds 'p0'"),
        (["--target", "y", "--time", "patient"], "time column 'patient' holds 'p0'"),
        (["--target", "y", "--group", "patient", "data.group=x"], "--group patient and data.group=x"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    visits: Path, verb: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, str(visits), *words]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_predicting_rows_with_other_columns_says_the_difference(
    visits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", str(visits), "--target", "y", "--model", "softmax", "--steps", "2", "--out", "run"]
    assert main(fit) == 0
    capsys.readouterr()
    pd.read_csv(visits).rename(columns={"x": "xx"}).to_csv("other.csv", index=False)
    assert main(["predict", "run", "other.csv"]) == 2
    assert "columns missing: x; not known: xx;" in capsys.readouterr().err


def test_runs_of_several_files_are_called_by_what_the_files_share() -> None:
    here = Path.cwd().name
    names = {"parts/*.csv": "parts", "a/part-*.csv": "part", "a/x.y.csv": "x.y", "*.csv": here}
    assert {pattern: short_name(pattern) for pattern in names} == names
    assert short_name(["a/2019.csv", "a/2020.csv"]) == "2019"
