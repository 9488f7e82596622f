"""Distant permutations: distinct, as far apart as claimed, and each the best choice after those before."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from thetastar.functional.permutations import distant

pytestmark = pytest.mark.shows("L2")


@pytest.mark.parametrize(("count", "least", "mean"), [(9, 9, 9.0), (35, 7, 8.13), (71, 7, 8.07), (100, 6, 8.07)])
def test_they_are_permutations_at_least_so_far_apart(count: int, least: int, mean: float) -> None:
    found = distant(9, count).numpy()
    assert all(sorted(one) == list(range(9)) for one in found.tolist())
    distances = [(a != b).sum() for a, b in itertools.combinations(found, 2)]
    assert min(distances) == least
    assert np.mean(distances) >= mean


def test_each_is_the_farthest_from_those_before() -> None:
    found = distant(4, 24).tolist()
    every = list(itertools.permutations(range(4)))
    assert {tuple(one) for one in found} == set(every)

    def distance(one: tuple[int, ...], other: list[int]) -> int:
        return sum(a != b for a, b in zip(one, other, strict=True))

    for place in range(1, 24):
        before = found[:place]
        ranks = {one: (min(distance(one, b) for b in before), sum(distance(one, b) for b in before)) for one in every}
        assert ranks[tuple(found[place])] == max(ranks.values())
