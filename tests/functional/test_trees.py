"""A tree as tensors, descended by hand."""

from __future__ import annotations

import math

import torch

from thetastar.functional.trees import descend

# x₀ ≤ 0.5 ? (x₁ ≤ 2 ? leaf 0 : leaf 1) : leaf 2, and a second tree that is one leaf, 3
TREES = {
    "roots": torch.tensor([0, 5]),
    "feature": torch.tensor([0, 1, 0, 0, 0, 0]),
    "threshold": torch.tensor([0.5, 2.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64),
    "missing_left": torch.tensor([False, True, False, False, False, False]),
    "left": torch.tensor([1, 2, 2, 3, 4, 5]),
    "right": torch.tensor([4, 3, 2, 3, 4, 5]),
    "leaf": torch.tensor([0, 0, 0, 1, 2, 3]),
}


def test_descent_by_hand() -> None:
    x = torch.tensor([[0.5, 2.0], [0.5, 2.1], [0.6, 0.0], [math.nan, 0.0], [0.0, math.nan]])
    assert descend(x, TREES).tolist() == [[0, 3], [1, 3], [2, 3], [2, 3], [0, 3]]
