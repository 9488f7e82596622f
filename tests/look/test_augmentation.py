"""The sheet of images before and after augmentation shows what training would see."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thetastar import cli
from thetastar.look.augmentation import DRAWS, augmentation
from thetastar.look.sheet import GAP, LABEL, TILE
from thetastar.look.subject import subject_of


def tiles(picture: Image.Image) -> np.ndarray:
    """(lines, tiles, height, width) of grey values."""
    pixels = np.asarray(picture.convert("L")).astype(int)
    lines = (pixels.shape[0] - GAP) // (TILE + GAP)
    tops = [GAP + line * (TILE + GAP) for line in range(lines)]
    lefts = [LABEL + place * (TILE + GAP) for place in range(1 + DRAWS)]
    return np.stack([[pixels[top : top + TILE, left : left + TILE] for left in lefts] for top in tops])


@pytest.mark.shows("O10")
def test_every_draw_stands_beside_its_image() -> None:
    mirrored = augmentation(subject_of({"name": "digits", "augment": [{"name": "flip", "p": 1.0}]}))
    assert mirrored is not None
    assert mirrored.picture is not None
    found = tiles(Image.open(io.BytesIO(base64.b64decode(mirrored.picture.partition(",")[2]))))
    assert found.shape[:2] == (8, 1 + DRAWS)
    for line in found:
        assert np.ptp(line[0]) > 100
        for tile in line[1:]:
            assert np.abs(tile - line[0][:, ::-1]).max() <= 4  # a palette of 128 colours
    assert augmentation(subject_of("digits")) is None


def test_the_option_writes_a_sheet_beside_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cli.main(["look", "bars", "--augment", "crop,{name: flip, vertical: 0.5}", "--out", "page.html", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["sheet"] == "page-augmentation.png"
    assert Image.open("page-augmentation.png").size[0] > 10 * TILE
    section = next(entry for entry in said["examinations"] if entry["name"] == "Augmentation")
    assert [change["name"] for change in section["augment"]] == ["crop", "flip"]
    assert "crop, then flip" in Path("page.html").read_text()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["digits", "--augment", "flop"], "did you mean 'flip'"),
        (["digits", "--augment", ""], "without a name"),
        (["iris", "--augment", "noise"], "leave out --augment"),
    ],
)
def test_mistakes_are_one_line(words: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["look", *words]) == 2
    said = capsys.readouterr()
    assert part in said.err
    assert said.err.strip().count("\n") == 0
    assert not said.out
