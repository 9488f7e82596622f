"""The page of what a method draws: its samples as they are, beside the data, and nothing where there are none."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import thetastar
from thetastar.report.pictures import GAP, made, pictures, strip
from thetastar.report.runs import render

MODEL = {"name": "pixelcnn", "levels": 4, "width": 4, "depth": 1, "first": 3, "conditional": True}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("runs") / "run"
    thetastar.fit("bars", MODEL, steps=3, out=where)
    return where


@pytest.mark.shows("L5")
def test_samples_stand_beside_images_of_the_data(place: Path) -> None:
    found = made(place, "valid")
    assert list(found) == ["images of valid", "samples"]
    assert {tuple(x.shape) for x in found.values()} == {(12, 1, 8, 8)}
    assert all((one == again).all() for one, again in zip(found.values(), made(place, "valid").values(), strict=True))
    page = render([place])
    assert page.count("data:image/png;base64,") == 2
    assert "Samples are drawn from scratch" in page


def test_a_strip_holds_the_pixels_as_they_are(place: Path) -> None:
    images = made(place, "valid")["samples"]
    one = strip("samples", images)
    picture = Image.open(io.BytesIO(base64.b64decode(one["picture"].split(",")[1])))
    side = 7 * 8  # the first multiple of 8 that is at least 56
    assert picture.size == (12 * (side + GAP) - GAP, side)
    tile = np.asarray(picture.convert("L"))[:, 5 * (side + GAP) : 5 * (side + GAP) + side]
    np.testing.assert_array_equal(tile[3::7, 3::7], (images[5, 0] * 255).round().byte().numpy())


def test_what_draws_no_images_has_no_pictures(tmp_path: Path) -> None:
    thetastar.fit("blobs", {"name": "mlp", "widths": [8]}, "gan", steps=2, out=tmp_path / "gan")
    assert pictures({"gan": tmp_path / "gan"}, "valid") is None
    assert "Pictures" not in render([tmp_path / "gan"])
