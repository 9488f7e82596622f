"""HOG and a linear model: better than raw pixels where edges tell, worse where only brightness does."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thetastar import compare, registry, star
from thetastar.errors import UserError
from thetastar.outer.learners import default_models
from thetastar.protocols import Field, Schema


@pytest.mark.parametrize(("side", "cell"), [(8, 2), (28, 4), (32, 5), (64, 8), (224, 8)])
def test_cells_suit_the_size_of_the_image(side: int, cell: int) -> None:
    schema = Schema(Field("image", (1, side, side)), Field("category", (), 10))
    f = registry.build("models", "hog_linear", schema)
    assert ("hog_linear" in default_models(schema)) == (side >= 16)
    assert f.cell == cell
    assert f.head.in_features == (side // cell - 1) ** 2 * 36


@pytest.mark.shows("F12")
def test_beats_raw_pixels_on_few_images_of_mnist_over_paired_seeds(shared_data: Path) -> None:
    """1,000 images to train on: the verdict over five splits, and every seed by more than two points."""
    rows = pd.read_parquet(next((shared_data / "mnist").glob("*test*.parquet"))).iloc[:1250]
    images = np.stack([np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in rows["image"]])[:, None]
    terms = {"seeds": 5, "budget": {"epochs": 4}, "resplit": True}
    verdict = compare((images, rows["label"].to_numpy()), ["hog_linear", "softmax"], **terms)
    assert verdict.pair("hog_linear", "softmax").outcome == "first"
    edges, raw = (row.per_seed for row in verdict.rows)
    assert (np.array(edges) > np.array(raw) + 0.02).all()


def test_brightness_alone_is_not_seen() -> None:
    """Known failure: plain grey images, dark or bright, have no edges; raw pixels tell them apart at once."""
    y = np.arange(200) % 2
    images = np.broadcast_to((0.3 + 0.4 * y)[:, None, None, None], (200, 1, 8, 8)).astype(np.float32)
    blind, seeing = (
        star.fit((images, y), model=model, epochs=5).test()["accuracy"] for model in ("hog_linear", "softmax")
    )
    assert seeing == 1.0
    assert blind <= 0.5


def test_what_has_no_edges_or_no_room_is_refused() -> None:
    with pytest.raises(UserError, match="choose softmax or linear"):
        star.fit("iris", model="hog_linear")
    with pytest.raises(UserError, match=r"lower model\.cell"):
        star.fit("bars", model={"name": "hog_linear", "cell": 5})
