"""Two views of every example."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.defaults import open_stream
from thetastar.protocols import Clock


def test_views_are_of_the_same_examples_and_drawn_independently() -> None:
    stream, plain = open_stream({"name": "views", "source": "bars"}), open_stream({"name": "bars", "drop_last": True})
    t = Clock(seed=1, epoch=4)
    for batch, raw in zip(stream.batches("train", t), plain.batches("train", t), strict=True):
        assert torch.equal(batch["index"], raw["index"])
        assert torch.equal(batch["target"], raw["target"])
        for one, other in (("input", "view"), ("view", "input")):
            same = (batch[one] == batch[other]).flatten(1).all(1)
            assert not same.any()
            assert batch[one].shape == raw["input"].shape


def test_views_of_a_vector_differ_by_a_tenth_of_each_entrys_deviation() -> None:
    random = np.random.default_rng(0)
    deviations = np.array([1e-3, 1.0, 1e4])
    x = (random.standard_normal((2000, 3)) * deviations + 5).astype(np.float32)
    stream = open_stream({"name": "views", "source": {"name": "arrays", "inputs": x, "targets": np.arange(2000) % 2}})
    pairs = [batch["input"] - batch["view"] for batch in stream.batches("train", Clock(0))]
    spread = torch.cat(pairs).std(0).numpy() / deviations
    assert spread == pytest.approx(np.full(3, 0.1 * np.sqrt(2)), rel=0.1)  # of the difference of two draws


def test_a_pass_can_be_entered_anywhere_and_batches_are_never_ragged() -> None:
    stream = open_stream({"name": "views", "source": "bars", "batch_size": 24})
    t = Clock(seed=1, epoch=1)
    whole, rest = list(stream.batches("train", t)), list(stream.batches("train", t, skip=3))
    assert len(whole) == stream.length("train")
    assert {len(batch[key]) for batch in whole for key in ("input", "view", "target")} == {24}
    for a, b in zip(whole[3:], rest, strict=True):
        assert torch.equal(a["input"], b["input"])
        assert torch.equal(a["view"], b["view"])


def test_valid_and_test_are_the_examples_as_they_are() -> None:
    stream, plain = open_stream({"name": "views", "source": "moons"}), open_stream("moons")
    for split in ("valid", "test"):
        for a, b in zip(stream.batches(split, Clock(0)), plain.batches(split, Clock(0)), strict=True):
            assert a.keys() == b.keys()
            assert torch.equal(a["input"], b["input"])


def test_without_augmentation_both_views_are_the_example() -> None:
    batch = next(open_stream({"name": "views", "source": "bars", "augment": []}).batches("train", Clock(0)))
    assert torch.equal(batch["input"], batch["view"])
