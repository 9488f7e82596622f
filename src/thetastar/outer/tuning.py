"""The same number of trials for every learner, on valid: what is searched is read off the names of its arguments.

The first trial is the learner as it is, so tuning never ends below the defaults on valid; the others are proposed by
the tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kégl 2011, Algorithms for hyper-parameter
optimization). Where splits are redrawn, the first one is tuned on, and what is found serves all.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.jsonable import strict
from thetastar.functional.keys import mix
from thetastar.outcome import Outcome
from thetastar.outer.folder import read
from thetastar.outer.spaces import Space, active, spaces, with_values
from thetastar.protocols import Stream
from thetastar.recipe import Recipe
from thetastar.snapshot import write_atomic


@dataclass
class Tuned:
    """What tuning found: how many trials, on which split, and the best of them."""

    trials: int
    searched: list[str]
    best: dict[str, Any] = field(default_factory=dict[str, Any])
    value: float | None = None
    default: float | None = None

    def apply(self, recipe: Recipe) -> Recipe:
        return with_values(recipe, self.best)


def tune(recipe: Recipe, stream: Stream, trials: int, file: Path, fit: Callable[[Recipe, int], Outcome]) -> Tuned:
    """`trials` trainings of a complete recipe at its own seed, judged by its first measure on valid.

    Args:
        recipe: complete; the data are those of the first seed.
        trials: ≥ 1, the recipe as it is being the first.
        file: what was tried is kept here after every trial, and continued from.
        fit: trains the recipe of trial i.
    """
    if not stream.size("valid"):
        raise UserError(
            "tuning without a valid split", "rows held out for choices", "set data.valid to a share such as 0.15"
        )
    measure = recipe.measures[0]["name"]
    higher = bool(getattr(registry.load("measures", measure), "higher_is_better", True))
    searched = spaces(recipe, stream)
    done: list[dict[str, Any]] = read(file) if file.is_file() else []
    count = trials if searched else 1
    while len(done) < count:
        number = len(done)
        drawn = propose(searched, done, number, higher) if number else starts(searched)
        values = values_of(searched, drawn) if number else {}
        outcome = fit(with_values(recipe, values), number)
        done.append({"drawn": drawn, "values": values, "value": outcome.values[measure]})
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps(strict(done), indent=1).encode())
    scores = [trial["value"] if usable(trial["value"]) else (-math.inf if higher else math.inf) for trial in done]
    best = scores.index(max(scores) if higher else min(scores))
    return Tuned(len(done), list(searched), done[best]["values"], done[best]["value"], done[0]["value"])


def starts(searched: Mapping[str, Space]) -> dict[str, Any]:
    """The default as a draw, without what lies outside its space: what it scored guides the search too."""
    drawn = {label: space.start for label, space in searched.items() if space.start is not None}
    return {label: drawn[label] for label in active(searched, drawn) if label in drawn}


def values_of(searched: Mapping[str, Space], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by path, as drawn."""
    return {searched[label].path: searched[label].value(draw) for label, draw in drawn.items()}


def propose(
    searched: Mapping[str, Space],
    done: Sequence[Mapping[str, Any]],
    number: int,
    higher: bool,
    *,
    seed: int = 0,
    sampler: Literal["tpe", "random"] = "tpe",
) -> dict[str, Any]:
    """The next draw: a function of what was tried, its number and the seed, so a continued search is the same search.

    Args:
        done: {"drawn", "value"} of what was tried; {"curve"} beside them where a trial was pruned; {"running": True}
            where it is under way, and is taken for a bad one, so that two at a time differ.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    key = mix("tune", seed, number) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        chosen: Any = (
            optuna.samplers.RandomSampler(seed=key)
            if sampler == "random"
            else optuna.samplers.TPESampler(
                seed=key, n_startup_trials=5, multivariate=True, group=True, constant_liar=True
            )
        )
    study = optuna.create_study(direction="maximize" if higher else "minimize", sampler=chosen)
    for trial in done:
        if state := known(trial):
            distributions = {label: searched[label].distribution for label in trial["drawn"]}
            study.add_trial(optuna.trial.create_trial(params=trial["drawn"], distributions=distributions, **state))
    drawn: dict[str, Any] = {}
    trial = study.ask()
    while left := [label for label in active(searched, drawn) if label not in drawn]:
        drawn[left[0]] = searched[left[0]].draw(trial, left[0])
    return drawn


def known(trial: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a trial tells the sampler; None where that is nothing."""
    from optuna.trial import TrialState

    if not trial["drawn"]:
        return None
    if trial.get("running"):
        return {"state": TrialState.RUNNING}
    if usable(trial["value"]):
        return {"state": TrialState.COMPLETE, "value": trial["value"]}
    seen = {round(1000 * share): value for share, value in trial.get("curve") or [] if usable(value)}
    return {"state": TrialState.PRUNED, "intermediate_values": seen} if seen else None


def usable(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
