"""Nearest examples by the cosine of features, and how often they are of the same class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import gammaln
from torch import Tensor
from torch.nn import functional as F

from thetastar.outer.statistics import fixed_spread, wilson

CELLS = 1 << 24  # of the table (queries, examples) held at once: 64 MiB


def nearest(queries: Tensor, gallery: Tensor, k: int, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k examples with the largest cosine, largest first.

    Args:
        queries, gallery: vectors; one of nought is as far from all as a right angle.
        k: at most the examples there are, less one where queries are among them.
        own: the place of each query in the gallery, which is left out; −1 where it is in none.

    Shapes: (queries, width), (examples, width), (queries,) → (queries, k) places and cosines.
    """
    queries, gallery = F.normalize(queries.float(), dim=1), F.normalize(gallery.float(), dim=1)
    places: list[Tensor] = []
    cosines: list[Tensor] = []
    for part in torch.arange(len(queries)).split(max(1, CELLS // max(len(gallery), 1))):
        table = queries[part] @ gallery.T
        if own is not None:
            known = (own[part] >= 0).nonzero()[:, 0]
            table[known, own[part][known]] = -torch.inf
        best = table.topk(k, dim=1)
        places.append(best.indices)
        cosines.append(best.values)
    return torch.cat(places), torch.cat(cosines)


def found(vectors: Tensor, classes: Tensor, ks: Sequence[int]) -> Tensor:
    """Whether one of the k nearest others is of the same class.

    Shapes: (examples, width), (examples,) → (examples, ks).
    """
    places, _ = nearest(vectors, vectors, max(ks), torch.arange(len(vectors)))
    same = (classes[places] == classes[:, None]).cummax(1).values  # (examples, largest k)
    return same[:, [k - 1 for k in ks]]


def by_chance(classes: Tensor, ks: Sequence[int]) -> list[float]:
    """The same for others in random order: the mean of 1 − C(n − 1 − m, k) / C(n − 1, k), m others of the class."""
    others = len(classes) - 1
    _, inverse, counts = torch.unique(classes, return_inverse=True, return_counts=True)
    wrong = others - (counts[inverse].double().numpy() - 1)  # of another class
    chances: list[float] = []
    for k in ks:
        possible = wrong >= k
        logs = _choose(np.where(possible, wrong, k), k) - _choose(np.asarray(float(others)), k)
        chances.append(float(1 - (np.exp(logs) * possible).mean()))
    return chances


def _choose(n: NDArray[Any], k: int) -> NDArray[Any]:
    """log C(n, k)"""
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


@dataclass(frozen=True)
class Recall:
    """recall@k of features and of the raw inputs with 95% intervals over queries, their difference, and chance."""

    k: int
    features: float
    interval: tuple[float, float]
    inputs: float
    of_inputs: tuple[float, float]
    gain: float
    of_gain: tuple[float, float]
    chance: float


def recalls(features: Tensor, inputs: Tensor, classes: Tensor, ks: Sequence[int]) -> tuple[list[Recall], int]:
    """recall@k: the share of examples with one of the same class among their k nearest others.

    Examples that are alone of their class are searched but do not ask: they could find nothing. Intervals are those of
    the queries, the star being as it is.

    Shapes: features (examples, width), inputs (examples, …), classes (examples,) → a recall a k, and how many ask.
    """
    _, inverse, counts = torch.unique(classes, return_inverse=True, return_counts=True)
    asking = counts[inverse] > 1
    ours = found(features, classes, ks)[asking].double().numpy()
    raw = found(inputs.flatten(1), classes, ks)[asking].double().numpy()
    rows = len(ours)
    chances = by_chance(classes, ks)
    alone = 1 - rows / len(classes)  # they count as misses in the chance of all
    told: list[Recall] = []
    for place, k in enumerate(ks):
        own, other = float(ours[:, place].mean()), float(raw[:, place].mean())
        difference = ours[:, place] - raw[:, place]
        half = float(fixed_spread(difference[None], True).half())
        gain = float(difference.mean())
        chance = chances[place] / (1 - alone)
        intervals = wilson(own, rows), wilson(other, rows), (gain - half, gain + half)
        told.append(Recall(k, own, intervals[0], other, intervals[1], gain, intervals[2], chance))
    return told, rows
