"""Splits that keep together what belongs together: whole groups, and order of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar.errors import UserError
from thetastar.functional.splits import split_rows

SPLITS = ("train", "valid", "test")
seeds = st.integers(0, 2**31)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=3, max_size=150), st.booleans(), seeds)
def test_groups_never_straddle_and_no_row_is_lost(labels: list[int], stratified: bool, seed: int) -> None:
    groups = np.asarray([f"g{label}" for label in labels])
    strata = np.arange(len(groups)) % 3 if stratified else None
    if len(np.unique(groups)) < 3:
        with pytest.raises(UserError, match="expected at least 3 groups"):
            split_rows(len(groups), strata, None, 0.3, 0.3, seed, groups=groups)
        return
    rows = split_rows(len(groups), strata, None, 0.3, 0.3, seed, groups=groups)
    assert sorted(np.concatenate([rows[name] for name in SPLITS]).tolist()) == list(range(len(groups)))
    parts = [set(groups[rows[name]]) for name in SPLITS]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert len(parts[0]) > 0


def test_shares_and_classes_of_drawn_groups_are_near_the_whole() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 10)
    strata = (random.random(100) < 0.3).astype(int)[groups]  # a class is a property of the group: 29 of 100
    rows = split_rows(1000, strata, None, 0.15, 0.2, 3, groups=groups)
    assert [len(rows[name]) for name in SPLITS] == [650, 150, 200]
    for name in SPLITS:
        assert abs(strata[rows[name]].mean() - strata.mean()) < 0.05
    other = split_rows(1000, strata, None, 0.15, 0.2, 4, groups=groups)
    assert not np.array_equal(rows["test"], other["test"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=3, max_size=150), seeds)
def test_time_is_ordered_from_train_to_test_and_no_moment_is_cut(moments: list[int], seed: int) -> None:
    times = np.asarray(moments, dtype=float)
    if len(np.unique(times)) < 3:
        with pytest.raises(UserError, match="expected at least 3 moments"):
            split_rows(len(times), None, None, 0.3, 0.3, seed, times=times)
        return
    rows = split_rows(len(times), None, None, 0.3, 0.3, seed, times=times)
    assert sorted(np.concatenate([rows[name] for name in SPLITS]).tolist()) == list(range(len(times)))
    assert times[rows["train"]].max() < times[rows["valid"]].min()
    assert times[rows["valid"]].max() < times[rows["test"]].min()


def test_shares_of_distinct_moments_are_exact() -> None:
    times = np.random.default_rng(0).permutation(200).astype(float)
    rows = split_rows(200, None, None, 0.1, 0.2, 0, times=times)
    assert sorted(times[rows["test"]]) == list(range(160, 200))
    assert sorted(times[rows["valid"]]) == list(range(140, 160))


def test_given_splits_that_share_a_group_are_refused() -> None:
    with pytest.raises(UserError, match="group 'a' is in both train and test as given"):
        split_rows(4, None, {"train": [0, 1, 2], "test": [3]}, 0.0, 0.2, 0, groups=np.array(["a", "b", "c", "a"]))
