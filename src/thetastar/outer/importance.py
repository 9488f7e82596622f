"""Which settings mattered: shares of the variance of a forest that was fitted to the trials, over the whole space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetastar.outer.spaces import Space, active, is_choice
from thetastar.outer.trying import Record

Array = NDArray[np.float64]
ENOUGH = 8  # trials below which nothing is said
POINTS = 2048
ABSENT = -1.0  # of a setting that is not searched under this choice of component


def importance(searched: Mapping[str, Space], trials: Sequence[Record], higher: bool) -> dict[str, float]:
    """The total effect of every setting, T_k = E[(f(a) − f(a with b_k))²] / (2 Var f), scaled to the sum 1.

    f is a random forest from settings to the ranks of the values, a and b are independent uniform draws of all
    settings (ranges as they are searched); ranks, because a few failures would otherwise be all the variance. Empty
    where there are too few trials to say.

    Source: Sobol 1993, Sensitivity estimates for nonlinear mathematical models; on forests of trials: Hutter, Hoos and
    Leyton-Brown 2014, An efficient approach for assessing hyperparameter importance.
    """
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor

    labels = list(searched)
    rows = [(trial, value) for trial in trials if trial.drawn and (value := judged(trial)) is not None]
    if len(rows) < ENOUGH or not labels:
        return {}
    x = np.array([[place(searched[label], trial.drawn.get(label)) for label in labels] for trial, _ in rows])
    ranks = rankdata([value if higher else -value for _, value in rows])
    forest = RandomForestRegressor(200, min_samples_leaf=2, random_state=0, max_features=0.7).fit(x, ranks)
    draw = np.random.default_rng(0)
    a, b = uniform(searched, draw), uniform(searched, draw)
    at_a = forest.predict(masked(searched, a))
    effects: list[float] = []
    for column in range(len(labels)):
        mixed = a.copy()
        mixed[:, column] = b[:, column]
        effects.append(float(np.square(at_a - forest.predict(masked(searched, mixed))).mean()))
    total = sum(effects)
    shares = {label: effect / total if total > 0 else 0.0 for label, effect in zip(labels, effects, strict=True)}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def judged(trial: Record) -> float | None:
    """What a trial scored; where it was pruned, what it had by then."""
    if trial.state == "finished":
        return trial.value
    return trial.curve[-1][1] if trial.state == "pruned" and trial.curve else None


def place(space: Space, drawn: Any) -> float:
    """A draw as a number in [0, 1]; choices by their order, which a forest can cut anywhere."""
    d = space.distribution
    if drawn is None:
        return ABSENT
    if hasattr(d, "choices"):
        return d.choices.index(drawn) / max(len(d.choices) - 1, 1)
    low, high, at = (math.log(v) if d.log else float(v) for v in (d.low, d.high, drawn))
    return (at - low) / (high - low)


def uniform(searched: Mapping[str, Space], draw: np.random.Generator) -> Array:
    """Independent draws of all settings, (POINTS, settings)."""
    columns: list[Array] = []
    for space in searched.values():
        u = draw.random(POINTS)
        choices = getattr(space.distribution, "choices", None)
        columns.append(np.floor(u * len(choices)) / max(len(choices) - 1, 1) if choices else u)
    return np.stack(columns, 1)


def masked(searched: Mapping[str, Space], x: Array) -> Array:
    """Settings that are not searched under the chosen components are absent."""
    labels = list(searched)
    if not any(space.when for space in searched.values()):
        return x
    found = x.copy()
    for row in found:
        places = [(label, at) for label, at in zip(labels, row, strict=True) if is_choice(label)]
        chosen = {label: chosen_at(searched[label], at) for label, at in places}
        there = set(active(searched, chosen))
        for column, label in enumerate(labels):
            if label not in there:
                row[column] = ABSENT
    return found


def chosen_at(space: Space, at: float) -> str:
    choices = space.distribution.choices
    return str(choices[round(at * max(len(choices) - 1, 1))])
