"""What is planted in a file is pointed out on the command line; splits drawn at random show no drift."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thetastar.cli import main
from thetastar.look.drift import separability

ROWS = 300


def visits(seed: int = 0) -> pd.DataFrame:
    """Three numbers and a word, of which two numbers say something of y; 60 patients, one visit a day."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((ROWS, 3))
    frame = pd.DataFrame(x.round(6), columns=["a", "b", "c"])
    frame["word"] = random.choice(["red", "green", "blue"], ROWS)
    frame["y"] = np.where(x[:, 0] - x[:, 1] + 0.5 * random.standard_normal(ROWS) > 0, "yes", "no")
    return frame


def looked(folder: Path, frame: pd.DataFrame, capsys: Any, *words: str) -> dict[str, Any]:
    frame.to_csv(folder / "visits.csv", index=False)
    out = str(folder / "page.html")
    assert main(["look", str(folder / "visits.csv"), "--target", "y", "--json", "--out", out, *words]) == 0

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def named(entry: dict[str, Any], words: str) -> list[dict[str, Any]]:
    return [finding for finding in entry["findings"] if words in finding["what"]]


@pytest.mark.shows("P2")
def test_nothing_planted_nothing_found(tmp_path: Path, capsys: Any) -> None:
    entry = looked(tmp_path, visits(), capsys)
    assert not [finding["what"] for finding in entry["findings"] if finding["severity"] == "high"]
    for planted in ("copies", "identifier", "differs from train"):
        assert not named(entry, planted)


@pytest.mark.shows("P2")
def test_a_copy_of_the_target_an_id_and_copied_rows_are_pointed_out(tmp_path: Path, capsys: Any) -> None:
    frame = visits()
    frame["part"] = ["train"] * 180 + ["valid"] * 60 + ["test"] * 60
    frame["outcome"] = np.where(frame["y"] == "yes", "paid", "open")
    frame["key"] = [f"k{n:05d}" for n in np.random.default_rng(1).permutation(ROWS)]
    inputs = ["a", "b", "c", "word", "outcome"]
    frame.loc[250:259, inputs] = frame.loc[10:19, inputs].to_numpy()
    frame = frame.astype({"a": float, "b": float, "c": float})
    entry = looked(tmp_path, frame, capsys, "--split-column", "part")
    assert entry["splits"] == {"train": 180, "valid": 60, "test": 60}
    assert [(f["columns"], f["severity"]) for f in named(entry, "copies the target")] == [(["outcome"], "high")]
    assert [f["columns"] for f in named(entry, "identifier")] == [["key"]]
    assert [f["rows"] for f in named(entry, "test rows that are exact copies")] == [list(range(250, 260))]
    assert not named(entry, "differs from train")
    page = (tmp_path / "page.html").read_text()
    assert "outcome" in page
    assert "copies the target" in page


@pytest.mark.shows("P2")
def test_a_shift_between_splits_and_flipped_labels_are_pointed_out(tmp_path: Path, capsys: Any) -> None:
    frame = visits()
    frame["y"] = np.where(frame["a"] > frame["b"], "yes", "no")
    frame["part"] = ["train"] * 150 + ["valid"] * 50 + ["test"] * 100
    frame.loc[200:, "c"] += 1.5
    clear = np.flatnonzero((frame["a"] - frame["b"]).abs() > 1.5)
    flipped = clear[clear < 200][:8]
    frame.loc[flipped, "y"] = frame.loc[flipped, "y"].map({"yes": "no", "no": "yes"})
    entry = looked(tmp_path, frame, capsys, "--split-column", "part")
    (shift,) = named(entry, "differs from train")
    assert (shift["what"], shift["columns"]) == ("test differs from train", ["c"])
    (suspects,) = named(entry, "confidently disputes")
    assert len(set(suspects["rows"][:10]) & set(flipped.tolist())) >= 6


@pytest.mark.shows("P2")
def test_images_copied_and_encoded_again_across_splits_are_pointed_out(tmp_path: Path, capsys: Any) -> None:
    random = np.random.default_rng(0)
    pictures = {}
    for split, count in (("train", 12), ("valid", 4), ("test", 4)):
        for number in range(count):
            for label in ("cat", "dog"):
                small = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
                pictures[split, label, number] = Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC)
    pictures["test", "cat", 0] = pictures["train", "cat", 3]
    for (split, label, number), picture in pictures.items():
        place = tmp_path / "pets" / split / label
        place.mkdir(parents=True, exist_ok=True)
        again = (split, label, number) == ("test", "dog", 1)
        (pictures["train", "dog", 5] if again else picture).save(
            place / f"{number}.{'jpg' if again else 'png'}", **({"quality": 60} if again else {})
        )
    assert main(["look", str(tmp_path / "pets"), "--json", "--out", str(tmp_path / "page.html")]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert len(named(entry, "test rows that are exact copies of train rows")[0]["rows"]) == 1
    assert len(named(entry, "test images that nearly equal one of train")[0]["rows"]) == 1


@pytest.mark.parametrize(("option", "line"), [("--group", "whole groups"), ("--time", "in order of time")])
def test_splits_are_those_of_training(option: str, line: str, tmp_path: Path, capsys: Any) -> None:
    frame = visits().assign(who=[f"p{n // 5}" for n in range(ROWS)])
    frame["when"] = pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%d")
    entry = looked(tmp_path, frame, capsys, option, "who" if option == "--group" else "when")
    assert any(line in said for said in entry["said"])


BAD: list[tuple[list[str], str]] = [
    (["--target", "yy"], "did you mean 'y'"),
    (["--group", "whom"], "no column 'whom'"),
    (["--split-column", "word"], "split column 'word' holds 'blue'"),
    (["--target", "y", "data.target=a"], "--target y and data.target=a"),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_mistakes_are_one_line_and_exit_code_2(words: list[str], message: str, tmp_path: Path, capsys: Any) -> None:
    visits().to_csv(tmp_path / "visits.csv", index=False)
    target = [] if "--target" in words else ["--target", "y"]
    assert main(["look", str(tmp_path / "visits.csv"), *target, *words]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_splits_drawn_at_random_are_not_flagged_and_a_shifted_column_is() -> None:
    """Over 20 seeds: at most one false alarm, as a level of 99% allows; where a column moved, each is one."""
    alarms, found = 0, 0
    for seed in range(20):
        x = np.random.default_rng(seed).standard_normal((160, 2))
        alarms += separability(x, 100)[1] > 0.5
        if seed < 5:
            x[100:, 0] += 2.0
            found += separability(x, 100)[1] > 0.5
    assert alarms <= 1
    assert found == 5
