"""`theta predict` with a star of masks: index images in the sizes of the images, or the share of every class."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import thetastar
from thetastar.cli import main
from thetastar.star import Star

NAMES = ("ground", "disc", "square", "triangle")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Star:
    data = {"name": "shapes", "rows": 60, "size": 16}
    model = {"name": "unet", "width": 4, "depth": 1}
    return thetastar.fit(data, model, steps=20, out=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def images(tmp_path: Path, run: Star) -> Path:
    """Three images: of the trained size, larger, and in a folder below."""
    pixels = (run.stream.sample("test", 3)["input"] * 255).round().byte().permute(0, 2, 3, 1).numpy()
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, image, size in zip(("a", "b", "deep/c"), pixels, ((16, 16), (40, 24), (16, 16)), strict=True):
        Image.fromarray(image).resize(size).save(tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


def said(run: Star, *words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    assert run.run is not None
    code = main(["predict", str(run.run.path), *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.shows("V7")
def test_a_folder_of_masks_has_the_names_and_sizes_of_the_images(
    run: Star, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(run, images, "--out", tmp_path / "masks", capsys=capsys)
    assert code == 0
    assert "3 masks in" in err
    table = pd.read_csv(io.StringIO(out)).set_index("file")
    masks = {name: np.asarray(Image.open(tmp_path / "masks" / f"{name}.png")) for name in ("a", "b", "deep/c")}
    assert masks["b"].shape == (24, 40)
    for name in ("a", "deep/c"):
        expected = run.predict(str(images / f"{name}.png"))[0]
        np.testing.assert_array_equal(masks[name], expected)
        shares = [float((expected == c).mean()) for c in range(4)]
        assert table.loc[f"{name}.png"].tolist() == pytest.approx(shares, abs=1e-4)
    assert table.columns.tolist() == [f"share({name})" for name in NAMES]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "masks.png"], "expected a folder for the masks"),
        (["--out", "."], "expected a new or empty folder"),
        (["--probabilities"], "--probabilities for a star that answers masks"),
        (["--costs", "1,2"], "a threshold for a star that answers masks"),
    ],
)
def test_what_masks_cannot_do_is_refused_in_a_line(
    run: Star, images: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(run, images, *words, capsys=capsys)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1
