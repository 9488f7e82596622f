"""Losses and overlaps of masks: what NumPy and scikit-learn get, void pixels left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn import functional as F

from thetastar.functional.masks import VOID, counts_by_image, cross_entropies, dice, image_ious, ious

random = np.random.default_rng(0)
LOGITS = torch.from_numpy(random.standard_normal((3, 4, 5, 6))).double()
MASK = torch.from_numpy(random.integers(0, 4, (3, 5, 6)))
MASK[0, :2], MASK[1] = VOID, VOID
MASK[2][MASK[2] == 3] = 0  # a class that is not there


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.shows("V7")
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_that_of_the_known_pixels_one_by_one(smoothing: float) -> None:
    found = cross_entropies(LOGITS, MASK, smoothing).numpy()
    log = np.log(softmax(LOGITS.numpy()))
    for image, row, column in np.ndindex(3, 5, 6):
        target = int(MASK[image, row, column])
        if target == VOID:
            assert found[image, row, column] == 0
            continue
        y = np.full(4, smoothing / 4)
        y[target] += 1 - smoothing
        assert found[image, row, column] == pytest.approx(-(y * log[image, :, row, column]).sum())


@pytest.mark.shows("V7")
def test_soft_dice_is_its_equation_in_numpy() -> None:
    p, found = softmax(LOGITS.numpy()), dice(LOGITS, MASK)
    for image in (0, 2):
        counted = MASK[image].numpy() != VOID
        shares = []
        for c in np.unique(MASK[image].numpy()[counted]):
            probability, truth = p[image, c][counted], MASK[image].numpy()[counted] == c
            shares.append(2 * (probability * truth).sum() / ((probability**2).sum() + (truth**2).sum()))
        assert found[image].item() == pytest.approx(1 - np.mean(shares))
    assert found[1] == 0  # an image without a known pixel


def test_dice_is_nothing_for_the_truth_and_one_for_its_opposite() -> None:
    mask = torch.tensor([[[0, 1], [1, 0]]])
    sure = 100.0 * F.one_hot(mask, 2).movedim(-1, 1).double()
    assert dice(sure, mask).item() == pytest.approx(0, abs=1e-6)
    assert dice(-sure, mask).item() == pytest.approx(1, abs=1e-6)


def test_what_is_said_of_void_pixels_changes_no_loss_and_gets_no_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    (cross_entropies(logits, MASK).sum() + dice(logits, MASK).sum()).backward()
    assert logits.grad is not None
    assert (logits.grad.movedim(1, -1)[MASK == VOID] == 0).all()
    assert (logits.grad.movedim(1, -1)[MASK != VOID].abs().sum(-1) > 0).all()


@pytest.mark.shows("F10")
def test_the_iou_of_images_is_scikit_learns_jaccard() -> None:
    said = torch.from_numpy(random.integers(0, 4, (3, 5, 6)))
    found = image_ious(said, MASK, 4)
    for image in (0, 2):
        counted = MASK[image] != VOID
        expected = metrics.jaccard_score(MASK[image][counted], said[image][counted], average="macro")
        assert found[image].item() == pytest.approx(expected)
    assert found[1] == 1
    shares, defined = ious(counts_by_image(said, MASK, 4).sum(1))
    counted = MASK != VOID
    expected = metrics.jaccard_score(MASK[counted], said[counted], average=None, labels=range(4))
    np.testing.assert_allclose(shares.numpy(), expected)
    assert defined.all()
