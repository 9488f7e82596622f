"""Measures of masks: those of scikit-learn over all pixels that are not void, in however many batches they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor

from thetastar import registry, star
from thetastar.errors import UserError
from thetastar.functional.masks import VOID

random = np.random.default_rng(0)
SAID = torch.from_numpy(random.integers(0, 3, (9, 4, 5)))
MASK = torch.from_numpy(random.choice([0, 1, 2, VOID], (9, 4, 5)))
MASK[4] = VOID
KNOWN = MASK != VOID


def judged(name: str, *cuts: int) -> tuple[dict[str, float], Tensor | None]:
    measure = registry.build("measures", name)
    columns = []
    for said, mask in zip(SAID.tensor_split(cuts), MASK.tensor_split(cuts), strict=True):
        probabilities = torch.zeros(len(said), 4, 4, 5)  # a fourth class is neither there nor called
        columns.append(measure.update({"prediction": said, "probabilities": probabilities}, {"target": mask}))
    return measure.compute(), torch.cat(columns) if columns[0] is not None else None


@pytest.mark.shows("V7")
@pytest.mark.shows("F10")
@pytest.mark.parametrize("cuts", [(), (1, 4, 5)])
def test_mean_iou_is_scikit_learns_over_known_pixels(cuts: tuple[int, ...]) -> None:
    found, column = judged("mean_iou", *cuts)
    by_class = metrics.jaccard_score(MASK[KNOWN], SAID[KNOWN], average=None)
    assert found["mean_iou"] == pytest.approx(by_class.mean())
    assert [found[f"mean_iou[{c}]"] for c in range(3)] == pytest.approx(by_class.tolist())
    assert "mean_iou[3]" not in found
    assert column is None  # no mean over images


@pytest.mark.shows("F10")
def test_pixel_accuracy_and_the_iou_of_images_are_scikit_learns() -> None:
    assert judged("pixel_accuracy", 3)[0]["pixel_accuracy"] == pytest.approx(
        metrics.accuracy_score(MASK[KNOWN], SAID[KNOWN])
    )
    found, column = judged("image_iou", 3)
    pairs = zip(MASK, SAID, KNOWN, strict=True)
    each = [metrics.jaccard_score(m[k], s[k], average="macro") if k.any() else 1.0 for m, s, k in pairs]
    assert column is not None
    assert column.tolist() == pytest.approx(each)
    assert found["image_iou"] == pytest.approx(np.mean(each))


@pytest.mark.parametrize("name", ["accuracy", "nll", "ece", "confusion", "f1", "rmse"])
def test_measures_of_whole_examples_are_refused(name: str) -> None:
    model: Any = {"name": "unet", "width": 2, "depth": 1}
    with pytest.raises(UserError, match=f"measure {name} on a segmentation task; expected mean_iou, image_iou, pixel_"):
        star.fit({"name": "shapes", "rows": 40, "size": 8}, model, measures=[name], steps=1)
