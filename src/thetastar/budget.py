"""How many steps a budget buys. Seconds are turned into steps once, by a probe on a copy, and recorded.

Seconds count training steps, batches included; looking at the valid split is not counted.
"""

from __future__ import annotations

import copy
import statistics
import time
from itertools import islice
from typing import TYPE_CHECKING

from thetastar.errors import UserError
from thetastar.recipe import Budget

if TYPE_CHECKING:
    from thetastar.equation import Training

PROBE_SHARE = 0.05  # of the budget at most goes into finding out what a step costs
RESERVE = 0.05  # of the budget is not planned for, so that a schedule rarely meets the end of its time unfinished


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
    """Time some steps, batches included, on a copy of the run, which is thrown away."""
    trial = copy.copy(training)
    trial.whole = copy.deepcopy(training.whole)
    trial.program = training.world.shard(trial.whole)
    trial.stream = copy.deepcopy(training.stream) if training.stream.state_dict() else training.stream
    trial.moves = trial.program.method.moves(trial.program.f)
    trial.states = {move.name: trial.algorithm.init(move) for move in trial.moves}
    trial.trace, trial.guard = type(training.trace)(), type(training.guard)(trial.program)
    trial.steps = 1_000_000
    batches = map(training.world.part, trial.stream.batches("train", trial.clock(), 0, trial.act))
    costs: list[float] = []
    began = time.perf_counter()
    while window := list(islice(batches, training.engine.accumulate)):
        trial.one_step(window)
        now = time.perf_counter()
        costs.append(now - began)
        began = now
        if len(costs) >= 3 and (sum(costs) > PROBE_SHARE * seconds or len(costs) == 50):
            break
    typical = statistics.median(costs[1:] or costs)  # the first step also allocates
    return int((1 - RESERVE) * seconds / typical)


def spent(training: Training) -> bool:
    """Whether a budget of seconds is used up: asked between batches, and then training ends where it stands."""
    limit = training.recipe.budget.get("seconds")
    if limit is not None and training.seconds > limit:
        training.stopped = True
    return training.stopped
