"""Which rows are learnt from: nested, with replacement or disjoint; and labels that are wrong on purpose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.functional.subsets import drawn, mislabelled, stratified_order

ROWS = np.arange(100, 400)
CLASSES = np.arange(400) % 3


def test_every_prefix_of_the_order_is_stratified_and_starts_with_one_of_each_class() -> None:
    random = np.random.default_rng(0)
    classes = random.choice(4, 500, p=[0.55, 0.3, 0.13, 0.02])
    rows = np.flatnonzero(random.random(500) < 0.8)
    order = classes[stratified_order(rows, classes, 3)]
    assert set(order[:4]) == {0, 1, 2, 3}
    share = np.bincount(classes[rows]) / len(rows)
    for length in range(4, len(rows) + 1):
        counts = np.bincount(order[:length], minlength=4)
        assert np.abs(counts - np.maximum(share * length, 1)).max() < 2


def test_subsets_are_nested_and_stratified() -> None:
    few, more = (set(drawn(ROWS, CLASSES, keep, "subset", 5).tolist()) for keep in (30, 90))
    assert few < more <= set(ROWS.tolist())
    assert np.bincount(CLASSES[list(few)]).tolist() == [10, 10, 10]


def test_a_bootstrap_leaves_out_a_third() -> None:
    """A row is missed by n draws with probability (1 − 1/n)ⁿ → 1/e."""
    samples = [drawn(ROWS, None, None, "bootstrap", seed) for seed in range(40)]
    assert all(len(sample) == 300 for sample in samples)
    left_out = [1 - len(np.unique(sample)) / 300 for sample in samples]
    assert np.mean(left_out) == pytest.approx(np.exp(-1), abs=0.01)


def test_parts_are_disjoint_and_make_up_the_whole() -> None:
    parts = [drawn(ROWS, CLASSES, 60, "part", number) for number in range(5)]
    assert sorted(np.concatenate(parts).tolist()) == ROWS.tolist()
    with pytest.raises(UserError, match="part 5"):
        drawn(ROWS, CLASSES, 60, "part", 5)
    with pytest.raises(UserError, match="keep=301"):
        drawn(ROWS, CLASSES, 301, "subset", 0)


def test_wrong_labels_are_as_many_as_asked_and_even() -> None:
    labels = torch.arange(40_000) % 4
    noisy = mislabelled(labels, 4, 0.3, 1)
    wrong = noisy != labels
    assert wrong.float().mean().item() == pytest.approx(0.3, abs=0.01)
    shift = torch.bincount((noisy - labels)[wrong] % 4, minlength=4) / wrong.sum()
    assert shift.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.015)
    assert torch.equal(mislabelled(labels, 4, 0.0, 1), labels)


def test_a_stream_learns_from_the_rows_that_are_kept() -> None:
    plain = open_stream("digits")
    few = open_stream({"name": "digits", "keep": 100, "label_noise": 0.2})
    assert few.size("train") == 100
    assert few.size("test") == plain.size("test")
    train, clean = few.examples("train"), plain.examples("train")  # type: ignore[attr-defined]
    place = {int(row): i for i, row in enumerate(clean["index"])}
    of = clean["target"][[place[int(row)] for row in train["index"]]]
    assert 8 <= int((train["target"] != of).sum()) <= 33
    assert torch.equal(few.examples("test")["target"], plain.examples("test")["target"])  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="label_noise"):
        open_stream({"name": "wave", "label_noise": 0.2})
