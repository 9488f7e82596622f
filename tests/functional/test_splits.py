"""Splits are disjoint, complete, stratified and a function of the seed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar.functional.splits import split_rows

SPLITS = ("train", "valid", "test")
labels = st.lists(st.integers(0, 4), min_size=1, max_size=120).map(np.asarray)
shares = st.floats(0, 0.45)
seeds = st.integers(0, 2**31)


@settings(max_examples=150, deadline=None)
@given(labels, st.booleans(), shares, shares, seeds)
def test_every_row_is_in_one_split(strata, stratified: bool, valid: float, test: float, seed: int) -> None:
    rows = split_rows(len(strata), strata if stratified else None, None, valid, test, seed)
    together = np.concatenate([rows[name] for name in SPLITS])
    assert sorted(together.tolist()) == list(range(len(strata)))


@settings(max_examples=100, deadline=None)
@given(labels, shares, shares, seeds)
def test_every_class_is_in_train_and_held_out_in_proportion(strata, valid: float, test: float, seed: int) -> None:
    rows = split_rows(len(strata), strata, None, valid, test, seed)
    for label, size in zip(*np.unique(strata, return_counts=True), strict=True):
        held = int((strata[rows["test"]] == label).sum())
        # within one of its share of the rounded whole, unless its last member had to stay in train
        assert abs(held - size * round(test * len(strata)) / len(strata)) < 1 + 1e-9
        assert (strata[rows["train"]] == label).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), shares, shares, seeds)
def test_sizes_without_classes_are_the_rounded_shares(count: int, valid: float, test: float, seed: int) -> None:
    rows = split_rows(count, None, None, valid, test, seed)
    assert len(rows["test"]) == round(test * count)
    assert len(rows["valid"]) == round(valid * count)


def test_the_seed_decides() -> None:
    strata = np.arange(300) % 3
    first, again, other = (split_rows(300, strata, None, 0.2, 0.2, seed) for seed in (0, 0, 1))
    for name in SPLITS:
        assert np.array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])


def test_given_splits_are_kept_and_the_missing_one_comes_from_train() -> None:
    strata = np.arange(100) % 2
    given_rows = {"train": np.arange(80), "test": np.arange(80, 100)}
    rows = split_rows(100, strata, given_rows, 0.25, 0.5, 0)
    assert np.array_equal(rows["test"], np.arange(80, 100))
    assert len(rows["valid"]) == 20
    assert set(rows["valid"]) | set(rows["train"]) == set(range(80))
    whole = {"train": np.arange(50), "valid": np.arange(50, 70), "test": np.arange(70, 100)}
    kept = split_rows(100, strata, whole, 0.9, 0.9, 5)
    assert all(np.array_equal(kept[name], whole[name]) for name in SPLITS)


def test_a_held_out_split_alone_leaves_the_rest_to_train() -> None:
    rows = split_rows(10, None, {"test": [7, 8, 9]}, 0.0, 0.5, 0)
    assert rows["train"].tolist() == list(range(7))
    assert rows["valid"].size == 0
