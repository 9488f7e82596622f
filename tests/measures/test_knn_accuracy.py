"""The probe of nearest neighbours, against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thetastar.defaults import completed, open_for
from thetastar.measures.knn_accuracy import knn_accuracy
from thetastar.recipe import Recipe


def by_hand(z: np.ndarray, y: np.ndarray, k: int, temperature: float) -> float:
    """Every example against all others, one by one."""
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    right = 0
    for i in range(len(z)):
        cosines = sorted(((z[i] @ z[j], y[j]) for j in range(len(z)) if j != i), reverse=True)[:k]
        votes = {c: sum(math.exp(s / temperature) for s, own in cosines if own == c) for c in set(y.tolist())}
        right += max(sorted(votes), key=lambda c: votes[c]) == y[i]
    return right / len(z)


@pytest.mark.shows("L3")
@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (20, 0.5), (500, 0.07)])
def test_it_is_the_weighted_vote_of_the_other_examples(k: int, temperature: float) -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 4, 90)
    z = random.normal(size=(4, 6))[y] + random.normal(size=(90, 6))
    measure = knn_accuracy(k=k, temperature=temperature)
    for part in (slice(0, 17), slice(17, 70), slice(70, 90)):
        out = {"features": torch.from_numpy(z[part])}
        assert measure.update(out, {"target": torch.from_numpy(y[part])}) is None
    assert measure.compute() == {"knn_accuracy": by_hand(z, y, k, temperature)}


def test_no_example_votes_for_itself() -> None:
    """Pairs of opposite classes at the same place: whoever could see itself would be right half the time."""
    z = torch.randn(20, 5, generator=torch.Generator().manual_seed(0)).repeat_interleave(2, 0)
    measure = knn_accuracy(k=1)
    measure.update({"features": z}, {"target": torch.tensor([0, 1] * 20)})
    assert measure.compute()["knn_accuracy"] == 0


def test_a_lone_example_has_no_neighbour() -> None:
    measure = knn_accuracy()
    measure.update({"features": torch.ones(1, 3)}, {"target": torch.tensor([0])})
    assert math.isnan(measure.compute()["knn_accuracy"])


@pytest.mark.parametrize(("data", "named"), [("digits", True), ("wave", False)])
def test_it_is_left_out_beside_a_method_where_targets_are_no_classes(data: str, named: bool) -> None:
    recipe = Recipe(data=data, method="byol", model="mlp")
    measures = [measure["name"] for measure in completed(recipe, open_for(recipe)).measures]
    assert measures == (["knn_accuracy"] if named else []) + ["effective_rank", "spread"]
