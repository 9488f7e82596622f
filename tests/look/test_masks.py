"""Looking at masks: shares of pixels of train and valid, and images beside masks that move together."""

from __future__ import annotations

import numpy as np
import torch

from thetastar.defaults import open_stream
from thetastar.functional.masks import VOID
from thetastar.functional.palettes import palette
from thetastar.look.balance import balance
from thetastar.look.examples import with_masks
from thetastar.look.looking import look
from thetastar.look.subject import subject_of

DATA = {"name": "shapes", "rows": 60, "size": 16, "augment": ["flip", "colour"]}


def test_classes_are_counted_by_pixels_and_the_test_split_stays_sealed() -> None:
    stream, subject = open_stream(DATA), subject_of(DATA)
    assert subject.masks is not None
    assert (subject.masks[stream.rows["test"]] == VOID).all()
    seen = np.concatenate([stream.rows["train"], stream.rows["valid"]])
    masks = stream.gather(torch.from_numpy(seen))["target"].numpy()
    section = balance(subject)
    assert section is not None
    assert {row[0] for row in section.rows} == {"ground", "disc", "square", "triangle"}
    for name, pixels, share, images in section.rows:
        of = masks == ("ground", "disc", "square", "triangle").index(name)
        assert (pixels, images) == (of.sum(), of.any((1, 2)).sum())
        assert share == pixels / (masks != VOID).sum()


def test_masks_are_shown_in_their_colours() -> None:
    subject = subject_of(DATA)
    rows = np.array([3, 8])
    shown, count = with_masks(subject, rows)
    assert count == 2
    assert shown.images is not None
    assert subject.masks is not None
    painted = shown.images[2:].permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(painted, palette(4)[subject.masks[rows].numpy()])


def test_the_page_has_pictures_of_examples_and_of_what_augmentation_does() -> None:
    found = look(DATA)
    pictured = {section.name for section in found.sections if section.picture}
    assert pictured == {"Examples", "Augmentation"}
    assert found.to_json()["task"] == "segmentation"
