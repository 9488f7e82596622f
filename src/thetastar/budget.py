"""How many steps a budget buys. Seconds are turned into steps once, by a probe on a copy, and recorded."""

from __future__ import annotations

import copy
import time
from itertools import islice
from typing import TYPE_CHECKING

from thetastar.errors import UserError
from thetastar.evaluation import evaluate
from thetastar.recipe import Budget

if TYPE_CHECKING:
    from thetastar.equation import Training

PROBE_SHARE = 0.05  # of the budget at most goes into finding out what a step costs


def planned_steps(training: Training) -> int:
    """Steps that the recipe's budget allows, at least one."""
    budget = Budget(**training.recipe.budget)
    if budget.steps is not None:
        return budget.steps
    if budget.epochs is not None:
        return max(1, round(budget.epochs * training.windows))
    assert budget.seconds is not None
    if training.world.size > 1:
        raise UserError("a budget in seconds on several processes", "epochs or steps", "write budget.epochs=…")
    return max(1, probe(training, budget.seconds))


def probe(training: Training, seconds: float) -> int:
    """Time some steps and one evaluation on a copy of the run, which is thrown away."""
    trial = copy.copy(training)
    trial.program = copy.deepcopy(training.program)
    trial.stream = copy.deepcopy(training.stream) if training.stream.state_dict() else training.stream
    trial.moves = trial.program.method.moves(trial.program.f)
    trial.states = {move.name: trial.algorithm.init(move) for move in trial.moves}
    trial.trace, trial.guard = type(training.trace)(), type(training.guard)(trial.program)
    trial.steps = 1_000_000
    t = trial.clock()
    began = time.perf_counter()
    if training.stream.size("valid"):
        evaluate(trial.program, trial.stream, "valid", training.recipe.measures, t)
    looking = (time.perf_counter() - began) * (training.engine.evaluations + 1)
    costs: list[float] = []
    batches = trial.stream.batches("train", t, 0, trial.act)
    while window := list(islice(batches, training.engine.accumulate)):
        start = time.perf_counter()
        trial.one_step(window)
        costs.append(time.perf_counter() - start)
        if len(costs) >= 3 and (sum(costs) > PROBE_SHARE * seconds or len(costs) == 50):
            break
    typical = sorted(costs[1:] or costs)[len(costs[1:] or costs) // 2]
    return int(max(seconds - min(looking, seconds / 2), 0) / typical)
