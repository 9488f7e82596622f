"""The same number of trials for every learner, on valid: what is searched is read off the names of its arguments.

The first trial is the learner as it is, so tuning never ends below the defaults on valid; the others are proposed by
the tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kégl 2011, Algorithms for hyper-parameter
optimization). Where splits are redrawn, the first one is tuned on, and what is found serves all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thetastar import equation, registry
from thetastar.errors import UserError
from thetastar.functional.jsonable import strict
from thetastar.functional.keys import mix
from thetastar.outcome import Outcome
from thetastar.outer.folder import read
from thetastar.protocols import Stream
from thetastar.recipe import Recipe
from thetastar.snapshot import write_atomic

Distribution = Any  # optuna's, imported only where something is tuned


@dataclass(frozen=True)
class Space:
    """Where one argument is searched; `value` turns what was drawn into the argument."""

    distribution: Distribution
    value: Callable[[Any], Any] = lambda drawn: drawn


def space_of(name: str, default: Any, stream: Stream) -> Space | None:
    """The space of an argument by its name, log-scaled where size is what matters; None where it is left alone."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    most = max(stream.size("train"), 2)
    if name in ("lr", "learning_rate"):
        return Space(FloatDistribution(default / 10, default * 10, log=True))
    if name == "weight_decay":
        return Space(FloatDistribution(1e-5, 0.3, log=True))
    if name == "dropout":
        return Space(FloatDistribution(0.0, 0.5))
    if name == "widths" and default:
        return Space(
            CategoricalDistribution((0.25, 0.5, 1.0, 2.0)), lambda share: [max(4, round(w * share)) for w in default]
        )
    if name == "k":
        return Space(IntDistribution(1, min(50, most // 2), log=True))
    if name == "leaves":
        return Space(IntDistribution(4, 128, log=True))
    if name == "min_leaf":
        return Space(IntDistribution(1, max(2, min(100, most // 10)), log=True))
    if name == "max_features":
        return Space(CategoricalDistribution(("sqrt", "log2", "all")))
    if name in ("l2", "ridge"):
        return Space(FloatDistribution(1e-3, 1e3, log=True))
    return None


def spaces(recipe: Recipe, stream: Stream) -> dict[str, Space]:
    """What is searched of a complete recipe, by path: {"algorithm.lr": …}. No algorithm where nothing is stepped."""
    program = equation.assemble(recipe, stream.schema)
    letters = ["model", "method", *(["algorithm"] if program.method.moves(program.f) else [])]
    found: dict[str, Space] = {}
    for letter in letters:
        for name, default in getattr(recipe, letter).items():
            space = space_of(name, default, stream)
            if space is not None:
                found[f"{letter}.{name}"] = space
    return found


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


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with some arguments replaced, by path."""
    for path, value in values.items():
        letter, name = path.split(".")
        recipe = recipe.replace(**{letter: {**getattr(recipe, letter), name: value}})
    return recipe


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
        drawn = propose(searched, done, number, higher) if number else {}
        values = {path: searched[path].value(draw) for path, draw in drawn.items()}
        outcome = fit(with_values(recipe, values), number)
        done.append({"drawn": drawn, "values": values, "value": outcome.values[measure]})
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps(strict(done), indent=1).encode())
    scores = [trial["value"] if usable(trial["value"]) else (-math.inf if higher else math.inf) for trial in done]
    best = scores.index(max(scores) if higher else min(scores))
    return Tuned(len(done), list(searched), done[best]["values"], done[best]["value"], done[0]["value"])


def propose(searched: Mapping[str, Space], done: list[dict[str, Any]], number: int, higher: bool) -> dict[str, Any]:
    """The next draw: a function of what was tried and of its number, so a continued search is the same search."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=mix("tune", number) % 2**32, n_startup_trials=5)
    study = optuna.create_study(direction="maximize" if higher else "minimize", sampler=sampler)
    distributions = {path: space.distribution for path, space in searched.items()}
    for trial in done:
        if trial["drawn"] and usable(trial["value"]):
            study.add_trial(
                optuna.trial.create_trial(params=trial["drawn"], distributions=distributions, value=trial["value"])
            )
    return dict(study.ask(distributions).params)


def usable(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
