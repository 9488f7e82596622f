"""All that a run in flight must remember to go on to the same bits, and to say what a step was made of."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from thetastar.budget import planned_steps
from thetastar.errors import UserError
from thetastar.functional.sharding import whole_tree
from thetastar.protocols import Clock, Method

if TYPE_CHECKING:
    from thetastar.equation import Training


def facts(training: Training) -> dict[str, Any]:
    """What was decided or happened, beyond the recipe: a resume keeps to it, the report says it."""
    found: dict[str, Any] = {
        "steps": training.step,
        "planned_steps": training.steps,
        "precision": training.precision,
        **training.execution.facts(),
        "seconds": training.seconds,
        "device": str(training.device),
        "threads": torch.get_num_threads(),
        "data": training.stream.fingerprint,
    }
    if training.whole.method.said:
        found["said"] = list(training.whole.method.said)
    if training.best.active:
        found |= {"best_epoch": training.best.epoch, "stopped_early": training.stopped}
    return found


def state(training: Training) -> dict[str, Any]:
    """A tree of tensors and JSON values for a checkpoint."""
    return {
        "step": training.step,
        "stopped": training.stopped,
        "program": training.world.collect(training.program, training.whole).state_dict(),
        "algorithm": {name: whole_tree(training.algorithm.export(own)) for name, own in training.states.items()},
        "stream": training.stream.state_dict(),
        "best": training.best.state_dict(),
        "trace": training.trace.state_dict(),
        "facts": {**facts(training), "trace_length": training.run.trace_length() if training.run else 0},
    }


def plan(training: Training) -> None:
    """Fix the number of steps; a first checkpoint keeps what was decided by timing, for a resume at any moment."""
    rehearse(training)
    for line in training.whole.f.said:
        training.watch.decided(line)
    for line in training.whole.method.said:
        training.watch.say(line)
    if training.moves:
        training.steps = planned_steps(training)
    training.execution.decide(training)
    if training.run:
        training.run.cut_trace(0)
    training.saved_at = -math.inf
    save_if_due(training)


def rehearse(training: Training) -> None:
    """Let the method settle what it finds out by trial, where it has something to try."""
    method, t = training.program.method, training.clock()
    tries = type(method).rehearse is not Method.rehearse and training.world.size == 1
    if tries and training.moves and not training.stream.state_dict():  # a stream with a state would go on
        batch = next(training.stream.batches("train", t))
        training.program.train()
        method.rehearse(training.program.f, training.loss(training.moves[0], t), batch, t)


def save_if_due(training: Training) -> None:
    """A checkpoint, where there is a run to keep it and the last one is old or the user is leaving."""
    old = time.monotonic() - training.saved_at > training.engine.checkpoint
    if training.world.agree(bool(training.run) and (old or training.watch.leaving)):
        tree = state(training)  # on every rank: weights are put together
        if training.run:
            training.run.checkpoint(training.step, tree)
        training.saved_at = time.monotonic()


def restore(training: Training, saved: Mapping[str, Any]) -> None:
    """The inverse of `state`; precision and threads stay those of the first part, since bits depend on them."""
    known = saved["facts"]
    if known["data"] != training.stream.fingerprint:
        changed = (
            f"the data have changed since the checkpoint (hash {training.stream.fingerprint}, then {known['data']})"
        )
        raise UserError(changed, "the data that were trained on", "restore them or train again")
    training.step, training.stopped = saved["step"], saved["stopped"]
    training.steps, training.seconds = known["planned_steps"], known["seconds"]
    training.precision = known["precision"]
    training.execution.restore(training, known)
    torch.set_num_threads(known["threads"])
    training.whole.load_state_dict(saved["program"])
    training.world.spread(training.whole, training.program)
    for name, own in training.states.items():
        training.algorithm.restore(own, saved["algorithm"][name])
    training.stream.load_state_dict(saved["stream"])
    training.best.load_state_dict(saved["best"])
    training.trace.load_state_dict(saved["trace"])
    if training.run:
        training.run.cut_trace(known["trace_length"])


def blame(training: Training, step: int) -> str:
    """Which batch made the loss of a step non-finite: a function of (seed, step), it can be asked for again.

    A stream with a state of its own is not asked: it would go on from where it stands.
    """
    epoch, window = divmod(step, training.windows)
    t = Clock(training.recipe.seed, step, training.steps, epoch, training.world.rank)
    rows: list[int] = []
    if not training.stream.state_dict():
        batch = next(training.stream.batches("train", t, window * training.engine.accumulate))
        rows = batch["index"].tolist() if "index" in batch else []
    shown = ", rows " + ", ".join(map(str, rows[:8])) + (", …" if len(rows) > 8 else "") if rows else ""
    return f"step {step} was skipped: its loss is not finite (epoch {epoch + 1}{shown}); the run goes on without it"
