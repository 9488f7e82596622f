"""The page of runs with masks: the overlap of every class, and the images with the smallest as they are."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics

import thetastar
from thetastar.functional.masks import VOID
from thetastar.functional.palettes import palette
from thetastar.report.masks import by_class, pictures
from thetastar.report.runs import render
from thetastar.run import Run
from thetastar.star import Star

NAMES = ("ground", "disc", "square", "triangle")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Star:
    data = {"name": "shapes", "rows": 60, "size": 16}
    place = tmp_path_factory.mktemp("runs") / "run"
    return thetastar.fit(data, {"name": "unet", "width": 4, "depth": 1}, steps=25, out=place)


def place(run: Star) -> Path:
    assert run.run is not None
    return run.run.path


def answered(run: Star) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of valid, their masks and what was said of them."""
    rows = np.asarray(run.stream.rows["valid"])
    batch = run.stream.gather(torch.from_numpy(rows))
    said = run.outputs(batch["input"], frozenset({"prediction"}))["prediction"].numpy()
    return rows, batch["target"].numpy(), said


@pytest.mark.shows("V7")
def test_the_table_holds_the_overlap_of_every_class(run: Star) -> None:
    _, truth, said = answered(run)
    known = truth != VOID
    shares = metrics.jaccard_score(truth[known], said[known], average=None, labels=range(4))
    rows = by_class({"unet": [place(run)]}, "valid", NAMES, run.schema.target.counts)
    assert [row[0] for row in rows] == list(NAMES)
    assert [row[2] for row in rows] == [f"{share:.1%}" for share in shares]
    counts = np.array(run.schema.target.counts)
    assert [row[1] for row in rows] == [f"{share:.1%}" for share in counts / counts.sum()]


@pytest.mark.shows("V7")
def test_the_images_with_the_smallest_overlap_are_shown_with_truth_and_prediction(run: Star) -> None:
    rows, truth, said = answered(run)
    each = []
    for mask, answer in zip(truth, said, strict=True):
        known = mask != VOID
        each.append(metrics.jaccard_score(mask[known], answer[known], average="macro"))
    shown, seen = pictures(place(run), "valid", 4)
    order = np.argsort(each, kind="stable")
    assert sorted(one["row"] for one in shown) == sorted(rows[order[: len(shown)]].tolist())
    worst = order[0]
    assert shown[0]["iou"] == f"{each[worst]:.1%}"
    picture = Image.open(io.BytesIO(base64.b64decode(shown[0]["picture"].split(",")[1])))
    side = picture.height
    pixels, middle = np.asarray(picture), (np.arange(16) * side + side // 2) // 16
    for place_, mask in ((1, truth[worst]), (2, said[worst])):
        left = place_ * (side + 4)
        np.testing.assert_array_equal(pixels[middle][:, left + middle], palette(4)[mask])
    assert seen >= set(np.unique(truth[order[: len(shown)]]).tolist())


def test_the_page_is_whole_and_does_without_the_data(run: Star, monkeypatch: pytest.MonkeyPatch) -> None:
    page = render([place(run)])
    assert all(f">{name}</th>" in page for name in NAMES)
    assert page.count("image, true mask and predicted mask") == 8
    assert "void, which counts for nothing" in page
    measures = run.run.measures if run.run else {}
    changed = {**measures, "facts": {**measures["facts"], "data": "other"}}
    monkeypatch.setattr(Run, "measures", property(lambda self: {**changed}))
    page = render([place(run)])
    assert "The data are not at hand" in page
    assert ">triangle</th>" in page


def test_colours_of_many_classes_are_told_apart() -> None:
    colours = palette(30)[:30].astype(int)
    far = np.abs(colours[:, None] - colours[None]).sum(-1) + 1000 * np.eye(30, dtype=int)
    assert far.min() > 20
    assert palette(30)[VOID].tolist() == [255, 255, 255]
