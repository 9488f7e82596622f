"""Few labels: nested, stratified, seeded, and never a ragged batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.data.few_labels import few_labels
from thetastar.data.toys import moons
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.protocols import Clock


def stream(labels: int, **more: object) -> few_labels:
    opened = open_stream({"name": "few_labels", "source": "digits", "labels": labels, **more})
    assert isinstance(opened, few_labels)
    return opened


def test_the_subset_of_fewer_labels_lies_within_that_of_more() -> None:
    few, more, all_ = (set(stream(n).labelled.tolist()) for n in (100, 250, 1168))
    assert (len(few), len(more)) == (100, 250)
    assert few < more < all_ == set(stream(100).inner.rows["train"].tolist())


def test_the_subset_is_stratified_and_seeded() -> None:
    small = stream(100)
    train = np.array(small.inner.schema.target.counts)
    kept = np.array(small.schema.target.counts)
    assert kept.sum() == 100
    assert np.abs(kept - 100 * train / train.sum()).max() < 1
    assert np.array_equal(small.labelled, stream(100).labelled)
    other = few_labels(source=small.source, labels=100, split_seed=1)
    assert not np.array_equal(small.labelled, other.labelled)


def test_batches_zip_labelled_and_unlabelled_examples_of_constant_sizes() -> None:
    small = stream(30, batch_size=50, labelled_batch=20)
    labelled, unlabelled = set(small.labelled.tolist()), []
    seen = torch.zeros(1797)
    for epoch in range(3):
        for batch in small.batches("train", Clock(0, epoch=epoch)):
            pair = batch["unlabelled"]
            assert batch["input"].shape[0] == batch["target"].shape[0] == 20
            assert pair["input"].shape == pair["view"].shape == (50, 1, 8, 8)
            assert "target" not in pair
            assert not torch.equal(pair["input"], pair["view"])
            assert set(batch["index"].tolist()) <= labelled
            assert len(set(batch["index"].tolist())) == 20
            seen[batch["index"]] += 1
            unlabelled += pair["index"].tolist() if epoch == 0 else []
    assert len(unlabelled) == len(set(unlabelled)) == 1150
    assert not labelled.isdisjoint(unlabelled)
    mine = seen[sorted(labelled)]  # 69 batches of 20 out of 30: 46 draws each on average
    assert mine.sum() == 69 * 20
    assert abs(mine - 46).max() < 20


def test_a_pass_can_be_entered_anywhere() -> None:
    small = stream(30, batch_size=200, labelled_batch=20)
    t = Clock(5, epoch=2)
    whole, rest = list(small.batches("train", t)), list(small.batches("train", t, skip=2))
    for a, b in zip(whole[2:], rest, strict=True):
        assert torch.equal(a["input"], b["input"])
        assert torch.equal(a["unlabelled"]["view"], b["unlabelled"]["view"])


def test_bad_numbers_and_targets_are_refused() -> None:
    with pytest.raises(UserError, match=r"10 \(one a class\) to 1168"):
        stream(9)
    with pytest.raises(UserError, match="labels"):
        few_labels(source=moons(), labels=1000)
    x = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(UserError, match="no classes"):
        open_stream({"name": "few_labels", "source": {"name": "arrays", "inputs": x, "targets": x[:, 0]}})
