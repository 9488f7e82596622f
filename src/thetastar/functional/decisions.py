"""When to say yes: the threshold on a probability that costs the least."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Costs = tuple[float, float]  # of one false positive, of one false negative
NEVER = float(np.nextafter(1.0, 2.0))  # a threshold that no probability reaches


def bayes_threshold(costs: Costs) -> float:
    """t* = c_FP / (c_FP + c_FN): where both answers cost the same on average, if the probabilities are right.

    Args:
        costs: of a false positive and of a false negative, ≥ 0 and not both 0; right answers cost nothing.

    Source: Elkan 2001, The foundations of cost-sensitive learning.
    """
    return costs[0] / (costs[0] + costs[1])


def mean_cost(probability: ArrayLike, positive: ArrayLike, threshold: float, costs: Costs) -> float:
    """(1/n) Σᵢ c_FP [pᵢ ≥ t, yᵢ = 0] + c_FN [pᵢ < t, yᵢ = 1].

    Shapes: probability and positive (n,).
    """
    said, true = np.asarray(probability, np.float64) >= threshold, np.asarray(positive, bool)
    return float(np.mean(costs[0] * (said & ~true) + costs[1] * (~said & true)))


def best_threshold(probability: ArrayLike, positive: ArrayLike, costs: Costs) -> float:
    """t̂ = argmin_t (1/n) Σᵢ c_FP [pᵢ ≥ t, yᵢ = 0] + c_FN [pᵢ < t, yᵢ = 1].

    All thresholds between two neighbouring probabilities give the same answers. Among intervals of the least cost the
    one nearest to t* of `bayes_threshold` is taken; in it t* itself where it lies inside, else the middle.

    Args:
        probability: of the positive class, in [0, 1].
        positive: whether it was.
        costs: see `bayes_threshold`.

    Shapes: probability and positive (n,), n ≥ 1.

    Returns:
        In [0, 1], or `NEVER`.
    """
    lower, upper = _intervals(np.asarray(probability, np.float64))
    cost = _cost_by_interval(np.asarray(probability, np.float64), np.asarray(positive, bool), costs)
    prior = bayes_threshold(costs)
    least = cost <= cost.min() * (1 + 1e-12)
    distance = np.where((lower < prior) & (prior <= upper), 0.0, np.minimum(abs(lower - prior), abs(upper - prior)))
    place = int(np.argmin(np.where(least, distance, np.inf)))
    low, high = float(lower[place]), float(upper[place])
    if low < prior <= high or (place == 0 and prior <= high):
        return prior
    middle = (low + high) / 2
    return middle if low < middle <= high else high


def _intervals(probability: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(lower, upper] of thresholds that give the same answers, from all positive to none."""
    values = np.unique(probability)
    last = 1.0 if values[-1] < 1 else NEVER
    return np.concatenate([[0.0], values]), np.concatenate([values, [last]])


def _cost_by_interval(
    probability: NDArray[np.float64], positive: NDArray[np.bool_], costs: Costs
) -> NDArray[np.float64]:
    """Sum of costs over the rows, for each of `_intervals`."""
    _, codes = np.unique(probability, return_inverse=True)
    positives = np.bincount(codes, weights=positive)
    negatives = np.bincount(codes, weights=~positive)
    missed = np.concatenate([[0.0], np.cumsum(positives)])
    false_alarms = negatives.sum() - np.concatenate([[0.0], np.cumsum(negatives)])
    return costs[0] * false_alarms + costs[1] * missed
