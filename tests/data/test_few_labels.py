"""Few labels: nested, stratified, seeded, and never a ragged batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar.data.augment.rotate import rotate
from thetastar.data.few_labels import few_labels
from thetastar.data.toys import moons
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.functional.subsets import stratified_order
from thetastar.protocols import Clock
from thetastar.registry import build


def stream(labels: float, **more: object) -> few_labels:
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


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=6),
    few=st.integers(0, 200),
    more=st.integers(0, 200),
    seed=st.integers(0, 99),
)
def test_prefixes_of_the_order_are_nested_and_fair(sizes: list[int], few: int, more: int, seed: int) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows, total = np.flatnonzero(classes >= 0), sum(sizes)
    low, high = sorted(min(max(n, len(sizes)), total) for n in (few, more))
    order = stratified_order(rows, classes, seed)
    assert sorted(order) == rows.tolist()
    assert set(order[:low]) <= set(order[:high])
    for count in (low, high):
        kept = np.bincount(classes[order[:count]], minlength=len(sizes))
        assert kept.min() >= 1
        # no seat moved from one class to another would be fairer: (k − ½)/n of every class's last is before the next's
        last, following = (kept - 0.5) / sizes, (kept + 0.5) / sizes
        given, free = kept > 1, kept < np.array(sizes)
        assert not given.any() or not free.any() or last[given].max() <= following[free].min() + 1e-12


def test_labels_are_drawn_apart_from_the_split_and_kept_anew_without_another_copy() -> None:
    first, other = stream(30), stream(30, label_seed=1)
    assert not np.array_equal(first.labelled, other.labelled)
    for split in ("train", "valid", "test"):
        assert np.array_equal(first.inner.rows[split], other.inner.rows[split])
    again = first.relabelled(30, 1)
    assert again.inner is first.inner
    assert np.array_equal(again.labelled, other.labelled)
    assert (again.schema, again.spec, again.said) == (other.schema, other.spec, other.said)
    assert first.spec["label_seed"] is None
    one, two = (next(each.batches("train", Clock(0))) for each in (again, other))
    assert torch.equal(one["index"], two["index"])


def test_a_share_is_of_the_training_split() -> None:
    assert len(stream(0.25).labelled) == 292  # of 1168
    assert set(stream(0.25).labelled.tolist()) == set(stream(292).labelled.tolist())


def test_the_strong_view_is_made_from_the_example_and_weak_ones_stay_as_they_were() -> None:
    weak = {"augment": [{"name": "noise", "std": 0.01}]}
    batch = next(stream(30, **weak).batches("train", Clock(0)))
    other = next(stream(30, **weak, strong=["invert"]).batches("train", Clock(0)))
    x = open_stream("digits").gather(batch["unlabelled"]["index"])["input"]
    for name in ("input", "target", "index"):
        assert torch.equal(batch[name], other[name])
    assert torch.equal(batch["unlabelled"]["input"], other["unlabelled"]["input"])
    assert (batch["unlabelled"]["view"] - x).abs().max() < 0.1
    strong = other["unlabelled"]["view"]
    inverted = ((strong - (1 - x)).abs() < 1e-6).flatten(1).all(1)
    assert 0.3 < inverted.float().mean() < 0.7  # with probability ½, and from the example: the rest is untouched
    assert torch.equal(strong[~inverted], x[~inverted])


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
    with pytest.raises(UserError, match=r"9, class '\d' is left without a label; expected 10 \(one a class\) to 1168"):
        stream(9)
    with pytest.raises(UserError, match=r"got 0.001 \(1 labels\), class '\d' is left"):
        stream(0.001)
    with pytest.raises(UserError, match=r"got 1169; expected 10"):
        stream(1169)
    with pytest.raises(UserError, match="at least 2 to compare"):
        stream(30, batch_size=1)
    with pytest.raises(UserError, match="rotate on inputs of shape"):
        few_labels(source=moons(), strong=(rotate(),))
    with pytest.raises(UserError, match="labels"):
        few_labels(source=moons(), labels=1000)
    x = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(UserError, match="no classes"):
        open_stream({"name": "few_labels", "source": {"name": "arrays", "inputs": x, "targets": x[:, 0]}})


@pytest.mark.parametrize("labels", [1.5, 0, -1, 0.0, True, "many"])
def test_labels_are_a_number_of_examples_or_a_share(labels: object) -> None:
    with pytest.raises(UserError, match="labels"):
        open_stream({"name": "few_labels", "source": "digits", "labels": labels})


def test_a_class_without_examples_is_named(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(90, 3)), np.arange(90) % 3
    y[:30][y[:30] == 2] = 0
    spec = {"name": "arrays", "inputs": x, "targets": np.array(["ant", "bee", "cow"])[y]}
    source = build("data", spec)
    source.given = {"train": np.arange(30), "valid": np.arange(30, 60), "test": np.arange(60, 90)}
    with pytest.raises(UserError, match="class 'cow' has no training example"):
        few_labels(source=source, labels=10)


def test_labelled_examples_can_be_changed_in_their_own_way() -> None:
    flat = stream(100, augment=[], labelled_augment=[{"name": "noise", "std": 0.3}])
    batch = next(flat.batches("train", Clock(0)))
    plain = flat.inner.gather(batch["index"])["input"]
    assert 0.05 < (batch["input"] - plain).abs().mean() < 0.3
    assert torch.equal(batch["unlabelled"]["input"], flat.inner.gather(batch["unlabelled"]["index"])["input"])
    assert "labelled examples are changed by noise" in flat.said
