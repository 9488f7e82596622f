"""`theta search`: rows, images and folders as queries, tables, drawings, JSON, recall, and mistakes in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from thetastar.cli import main
from thetastar.star import load

pytestmark = pytest.mark.shows("L7")

DIGITS: Any = load_digits()
Search = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A star of digits, one of a table, and digits as files."""
    where = tmp_path_factory.mktemp("search")
    small = ["model.channels=[4,8]", "model.hidden=16"]
    assert main(["fit", "digits", "--model", "cnn", *small, "--steps", "60", "--out", str(where / "run")]) == 0
    assert main(["fit", "diabetes", "--model", "mlp", "--steps", "5", "--out", str(where / "numbers")]) == 0
    (where / "files").mkdir()
    for number, image in enumerate(DIGITS.images[:8]):
        Image.fromarray((image * 255 / 16).astype(np.uint8)).save(where / "files" / f"{number}.png")
    return where


@pytest.fixture
def search(place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.chdir(place)

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(["search", *words])
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def loaded(said: tuple[int, str, str]) -> Any:
    assert said[0] == 0, said
    return json.loads(said[1])


def looked_at(place: Path) -> list[int]:
    """A few rows that are not sealed."""
    rows: Any = load(place / "run").stream
    return [int(row) for row in rows.rows["train"][:3]]


def test_a_row_finds_others_with_their_classes(search: Search, place: Path) -> None:
    row = looked_at(place)[0]
    told = loaded(search("run", str(row), "-k", "4", "--json"))
    (query,) = told["queries"]
    assert (query["row"], query["label"]) == (row, str(DIGITS.target[row]))
    assert len(query["nearest"]) == 4
    assert row not in [one["row"] for one in query["nearest"]]
    assert [one["label"] for one in query["nearest"]] == [str(DIGITS.target[o["row"]]) for o in query["nearest"]]
    table = search("run", str(row), "-k", "4")[1].splitlines()
    assert [line.split()[0] for line in table[2:6]] == [str(one["row"]) for one in query["nearest"]]


def test_an_image_file_finds_the_row_that_it_was_made_of(search: Search, place: Path) -> None:
    row = next(row for row in range(8) if row in load(place / "run").stream.rows["train"])  # type: ignore[attr-defined]
    told = loaded(search("run", f"files/{row}.png", "-k", "2", "--json"))
    assert told["queries"][0]["nearest"][0]["row"] == row
    assert told["queries"][0]["nearest"][0]["cosine"] > 0.99


def test_a_folder_asks_and_is_searched_and_no_file_finds_itself(search: Search) -> None:
    told = loaded(search("run", "files", "--data", "files", "-k", "3", "--json"))
    assert [one["file"] for one in told["queries"]] == [f"{number}.png" for number in range(8)]
    assert all(one["file"] not in [hit["file"] for hit in one["nearest"]] for one in told["queries"])
    single = loaded(search("run", "files/3.png", "--data", "files", "-k", "3", "--json"))
    found, again = (line["nearest"] for line in (told["queries"][3], single["queries"][0]))
    assert [one["file"] for one in found] == [one["file"] for one in again]
    assert [one["cosine"] for one in found] == pytest.approx([one["cosine"] for one in again], abs=1e-5)


@pytest.mark.parametrize("ending", [".png", ".html", ".svg"])
def test_a_drawing_shows_the_query_and_what_was_found(search: Search, place: Path, tmp_path: Path, ending: str) -> None:
    figure = tmp_path / f"found{ending}"
    code, _, err = search("run", str(looked_at(place)[1]), "-k", "3", "--figure", str(figure))
    assert code == 0
    assert "drawing" in err
    if ending == ".png":
        assert Image.open(figure).width > 500
    else:
        assert figure.read_text().count("<image") == 4


def test_recall_is_told_beside_raw_inputs_and_chance(search: Search) -> None:
    told = loaded(search("run", "--recall", "--json"))
    assert told["queries"] == told["examples"] == 270
    assert [one["k"] for one in told["recall"]] == [1, 5, 10]
    assert [one["features"] for one in told["recall"]] == sorted(one["features"] for one in told["recall"])
    table = search("run", "--recall")[1]
    assert f"{told['recall'][0]['features']:.1%}" in table


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run",), "theta search without QUERY"),
        (("run", "9999"), "row 9,999 of train and valid of digits; expected 0 to 1,796"),
        (("run", "nowhere.png"), "no file nowhere.png"),
        (("run", "files", "-k", "0"), "-k 0; expected at least 1"),
        (("run", "files", "-k", "5000"), "-k 5000 of 1,438 examples"),
        (("run", "files", "--data", "files", "-k", "8"), "-k 8 of 7 examples"),
        (("run", "3", "--data", "files"), "row 3 of files"),
        (("run", "3", "--recall"), "--recall with the query 3"),
        (("run", "--recall", "--figure", "a.png"), "--figure with --recall"),
        (("run", "--recall", "--data", "files"), "whose examples have no classes"),
        (("run", "--recall", "--data", "iris"), "iris of vector 4; expected image 1×8×8"),
        (("run", "files", "--figure", "a.txt"), "--figure a.txt; expected a name ending in .svg, .png, .html"),
        (("numbers", "--recall"), "whose examples have no classes"),
        (("numbers", "3", "--figure", "a.png"), "--figure of a run that was not trained on images"),
        (("nothing", "3"), "no run folder nothing"),
    ],
)
def test_mistakes_are_one_line(search: Search, words: tuple[str, ...], said: str) -> None:
    code, out, err = search(*words)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err
