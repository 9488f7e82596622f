"""Bias, variance and noise: the parts of the error of a learner whose members each learnt from another draw of rows.

**Squared error** of numbers, and of probabilities, where it is Brier's score. With members f_k(x), k = 1 … K, mean f̄
and s² = Σ_k (f_k − f̄)² / (K − 1),

    1/K Σ_k (y − f_k)² = σ² + bias² + variance,    variance = s²,    σ² + bias² = (y − f̄)² − s²/K,

so that finite K, which makes (y − f̄)² too large by a K-th of the variance, is taken off. Both parts are unbiased.
Source: Geman, Bienenstock and Doursat 1992, Neural networks and the bias/variance dilemma.

**0-1 loss** of classes. The main prediction m_k(x) is the class that most of the other members choose (at a tie each
of them alike), and for every member

    [f_k ≠ y] = B + U − H,    B = [m_k ≠ y],    U = [m_k = y] [f_k ≠ y],    H = [m_k ≠ y] [f_k = y]:

where the vote is right a change is an error, where it is wrong it may be a cure, and variance = U − H. No member votes
on itself, so these are unbiased for the vote of K − 1. If a share p of the targets is wrong, evenly over the other
classes, it makes p of the error, and what is left of bias and variance is 1 − p C / (C − 1) of what clean targets show.
Source: Domingos 2000, A unified bias-variance decomposition.

**Intervals.** Other examples and other members would have given other parts: the variance of the per-example values
over n, and the jackknife over members, each with its own degrees of freedom (see `statistics.Spread`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetastar.outer.statistics import Array, Spread

Columns = dict[str, Array]  # (examples,) of each part
Labels = NDArray[np.int64]
FEWEST = 3  # members: the jackknife leaves one out, and two are the fewest that vary


@dataclass(frozen=True)
class Parts:
    """Parts that sum to an error, each with the interval that holds it with 95% confidence.

    Attributes:
        loss: "squared", "brier" or "0-1".
        values: error, noise, bias, variance; of 0-1 loss also harmful and helpful, whose difference is the variance.
        intervals: (low, high) of each but the noise, and of "gap", bias − variance.
        noise_known: whether noise was given; else it is a part of the bias.
        members, examples: that it was measured by.
    """

    loss: str
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    noise_known: bool
    members: int
    examples: int

    @property
    def larger(self) -> str:
        """ "bias" or "variance", where their difference is beyond its interval; "" where that is open."""
        low, high = self.intervals["gap"]
        return "bias" if low > 0 else "variance" if high < 0 else ""

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "values": dict(self.values), "intervals": dict(self.intervals), "larger": self.larger}


def squared(outputs: Array, target: Array, noise: float | None = None, loss: str = "squared") -> Parts:
    """Parts of the squared error, summed over outputs.

    Args:
        outputs: what each member says.
        target: numbers, or classes as rows with a single 1.
        noise: σ² of the target about its mean; None leaves it within the bias.

    Shapes: (members, examples, outputs), (examples, outputs).
    """

    def columns(which: Labels) -> Columns:
        return squared_columns(outputs[which], target, noise or 0.0)

    return measured(loss, columns, len(outputs), len(target), noise is not None)


def squared_columns(outputs: Array, target: Array, noise: float) -> Columns:
    variance = outputs.var(0, ddof=1).sum(-1)  # (examples,)
    error = np.square(target - outputs).sum(-1).mean(0)
    return {"error": error, "noise": np.full_like(error, noise), "bias": error - variance - noise, "variance": variance}


def zero_one(labels: Labels, target: Labels, classes: int, noise: float | None = None) -> Parts:
    """Parts of the share of errors.

    Args:
        labels: what each member says.
        target: the classes.
        classes: how many there are.
        noise: share of the targets that are wrong, evenly; None takes them as they are.

    Shapes: (members, examples), (examples,).
    """

    def columns(which: Labels) -> Columns:
        return zero_one_columns(labels[which], target, classes, noise or 0.0)

    return measured("0-1", columns, len(labels), len(target), noise is not None)


def zero_one_columns(labels: Labels, target: Labels, classes: int, noise: float) -> Columns:
    every = np.arange(len(target))
    votes = np.zeros((len(target), classes))
    for said in labels:
        votes[every, said] += 1
    wrong, harmful, helpful = np.zeros((3, len(target)))
    for said in labels:
        votes[every, said] -= 1  # no member votes on itself
        most = votes.max(1)
        right = (votes[every, target] == most) / (votes == most[:, None]).sum(1)  # the chance that the vote is right
        votes[every, said] += 1
        error = said != target
        wrong += 1 - right
        harmful += right * error
        helpful += (1 - right) * ~error
    wrong, harmful, helpful = wrong / len(labels), harmful / len(labels), helpful / len(labels)
    return {
        "error": (labels != target).mean(0),
        "noise": np.full_like(wrong, noise),
        "bias": wrong - noise,
        "variance": harmful - helpful,
        "harmful": harmful,
        "helpful": helpful,
    }


def measured(loss: str, columns: Callable[[Labels], Columns], members: int, examples: int, noise_known: bool) -> Parts:
    """Means of the columns of all members, and intervals from examples and from leaving out members.

    Args:
        columns: the parts of every example by some members.
    """
    assert members >= FEWEST, "the caller checks how many members there are"
    assert examples >= 2, "the caller checks how many examples there are"
    whole = with_gap(columns(np.arange(members)))
    without = [with_gap(columns(np.delete(np.arange(members), k))) for k in range(members)]
    values = {name: float(column.mean()) for name, column in whole.items()}
    coarse = 1.0 / examples if loss == "0-1" else 0.0  # one example more or less
    intervals: dict[str, tuple[float, float]] = {}
    for name, column in whole.items():
        if name == "noise":
            continue
        left = np.array([each[name].mean() for each in without])
        by_members = (members - 1) * left.var()
        by_examples = max(column.var(ddof=1) / examples, coarse**2)
        spread = Spread((np.asarray(by_examples), np.asarray(by_members)), (examples - 1.0, members - 1.0))
        half = float(spread.half())
        low, high = values[name] - half, values[name] + half
        signed = name == "gap" or (name == "variance" and loss == "0-1")  # all others are never below 0
        intervals[name] = low if signed else max(low, min(values[name], 0.0)), high
    del values["gap"]
    return Parts(loss, values, intervals, noise_known, members, examples)


def with_gap(columns: Columns) -> Columns:
    return {**columns, "gap": columns["bias"] - columns["variance"]}
