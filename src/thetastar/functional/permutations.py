"""Permutations that are far from one another."""

from __future__ import annotations

import itertools
from functools import cache

import torch
from torch import Tensor


@cache
def distant(length: int, count: int) -> Tensor:
    """`count` permutations of 0 … length − 1, each as far from those before as can be, the first the identity.

    Greedy: of all permutations comes next the one whose nearest among those before is farthest, by the number of places
    in which two differ; among equals the one with the largest sum of distances, then the first in order.

    Shapes: → (count, length) whole numbers.

    Source: Noroozi and Favaro 2016, Unsupervised learning of visual representations by solving jigsaw puzzles,
    algorithm 1, which goes by the sum alone; they find that a large least distance matters as much as a large mean.
    """
    every = torch.tensor(list(itertools.permutations(range(length))), dtype=torch.int8).T.contiguous()
    nearest = torch.full((every.shape[1],), length + 1, dtype=torch.int32)
    total = torch.zeros_like(nearest)
    chosen = [0]
    while len(chosen) < count:
        distance = (every != every[:, chosen[-1:]]).sum(0, dtype=torch.int32)
        nearest, total = torch.minimum(nearest, distance), total + distance
        chosen.append(int((nearest * (length * count + 1) + total).argmax()))
    return every[:, chosen].T.long()
