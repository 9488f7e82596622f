"""When is a training not worth finishing? Judged by where its curve on valid stands among those before it.

A curve is [[share of the budget, value on valid], …]. Both rules compare at equal shares, so that trials with other
batch sizes are comparable, and both wait until there is something to compare with.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from thetastar.trace import Row
from thetastar.watch import Watch

Curve = Sequence[Sequence[float]]
Rule = Callable[[Curve, Sequence[Curve], bool], str]

ENOUGH = 5  # curves before anything is judged
EARLY = 0.1  # of the budget, in which every trial is left alone
FACTOR = 3  # of successive halving: one in three goes on at each rung
RUNGS = (1 / 9, 1 / 3)


class Pruned(Exception):
    """A training was ended because it stood badly; the reason is its text."""


def median(curve: Curve, others: Sequence[Curve], higher: bool) -> str:
    """The best so far is worse than the median of the best that others had at this share of the budget.

    Source: Golovin et al. 2017, Google Vizier: a service for black-box optimization.
    """
    share = curve[-1][0]
    before = [value for other in others if (value := best(other, share, higher)) is not None]
    own = best(curve, share, higher)
    if share < EARLY or len(before) < ENOUGH or own is None:
        return ""
    middle = statistics.median(before)
    if own >= middle if higher else own <= middle:
        return ""
    return f"below the median of {len(before)} trials after {share:.0%} of the budget"


def halving(curve: Curve, others: Sequence[Curve], higher: bool) -> str:
    """At 1/9 and 1/3 of the budget only the best third of those that came so far goes on.

    Source: Li et al. 2020, A system for massively parallel hyperparameter tuning.
    """
    share, before = curve[-1][0], curve[-2][0] if len(curve) > 1 else 0.0
    for rung in RUNGS:
        if before < rung <= share:  # the first look at or after a rung
            own = best(curve, share, higher)
            reached = [value for other in others if other[-1][0] >= rung for value in [best(other, share, higher)]]
            rivals = [value for value in reached if value is not None]
            better = sum(value > own if higher else value < own for value in rivals) if own is not None else 0
            if len(rivals) + 1 >= ENOUGH and better >= max(1, (len(rivals) + 1) // FACTOR):
                return f"not in the best third of {len(rivals) + 1} trials after {share:.0%} of the budget"
    return ""


def none(curve: Curve, others: Sequence[Curve], higher: bool) -> str:
    return ""


RULES: dict[str, Rule] = {"median": median, "halving": halving, "none": none}


def best(curve: Curve, share: float, higher: bool) -> float | None:
    """The best value up to a share of the budget; None where there is none yet."""
    seen = [value for at, value in curve if at <= share + 1e-9 and math.isfinite(value)]
    return (max(seen) if higher else min(seen)) if seen else None


def not_finite(measure: str, share: float | None = None) -> str:
    """Why a training is not worth anything, after a share of the budget or at the end."""
    when = "at the end" if share is None else f"after {share:.0%} of the budget"
    return f"{measure} on valid was not finite {when}"


class Judge(Watch):
    """Hears a training, keeps its curve on valid and ends it where the rule says so.

    Args:
        inner: hears everything.
        measure: whose values make the curve.
        rule: the reason to end the training with this curve; "" to go on.
    """

    def __init__(self, inner: Watch, measure: str, rule: Callable[[Curve], str]) -> None:
        self.inner, self.measure, self.rule = inner, measure, rule
        self.curve: list[list[float]] = []
        self.share = 0.0

    def step(self, step: int, steps: int) -> None:
        self.share = step / max(steps, 1)
        self.inner.step(step, steps)

    def row(self, row: Row) -> None:
        self.inner.row(row)
        value: Any = row.get(f"valid.{self.measure}")
        if value is None:
            return
        if not math.isfinite(value):
            raise Pruned(not_finite(self.measure, self.share))
        self.curve.append([round(self.share, 4), value])
        if reason := self.rule(self.curve):
            raise Pruned(reason)

    def say(self, line: str) -> None:
        self.inner.say(line)

    def decided(self, line: str) -> None:
        self.inner.decided(line)
