"""The learning rate by a range test: `algorithm.lr=auto` becomes a number before anything is trained.

A copy of the program is trained while its rate grows from far too small to far too large, evenly on a logarithmic
scale. The loss falls, then rises; the rate that is taken lies well below the rise. What is trained afterwards begins
with the weights and the data as they were.

Source: Smith 2017, Cyclical learning rates for training neural networks, section 3.3.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from thetastar import defaults, equation, registry
from thetastar.defaults import AUTO
from thetastar.distribution import World
from thetastar.errors import UserError
from thetastar.functional import drawing
from thetastar.functional.jsonable import strict
from thetastar.functional.keys import seeded
from thetastar.protocols import Batch, Program, Stream
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.snapshot import write_atomic
from thetastar.watch import Watch

LOWEST, HIGHEST = 1e-6, 1e3  # of the rule's usual rate: 1e-7 to 100 for sgd
STEPS = 180  # of the sweep, twenty a decade
MEMORY = 0.9  # of the running mean that says when to stop
WIDTH = 5  # steps: the deviation of the bell that smooths without a lag
RISE = 4.0  # times the lowest running mean: what is above has left
GAINED = 0.1  # of the fall must be lost again too, or the noise of a tiny loss would count as a rise
BELOW_RISE, BELOW_LOWEST = 10.0, 2.0  # how far the chosen rate is below them
RULE = (
    f"the smaller of a {BELOW_RISE:g}th of the rate where the loss exceeds {RISE:g} times its lowest and half of the "
    "rate where it is lowest; where it never rises so far, that of its steepest fall where this is smaller still"
)


@dataclass(frozen=True)
class Sweep:
    """What a range test saw.

    Attributes:
        algorithm: its name.
        rates, losses: of each step.
        smoothed: the losses under a bell of `WIDTH` steps.
        left: the rate where the running mean exceeds `RISE` times its lowest value; None where it never does.
        lowest, steepest: the rates where the smoothed loss is lowest, and where it falls most.
        chosen: the rate, to two digits.
    """

    algorithm: str
    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    left: float | None
    lowest: float
    steepest: float
    chosen: float

    @property
    def said(self) -> str:
        end = f"the loss leaves at {self.left:.2g}" if self.left else "the loss never leaves"
        return f"learning rate {self.chosen:g} by a range test: lowest loss at {self.lowest:.2g}, {end}"

    def write(self, run: Run) -> None:
        """The numbers and the figure, beside the run that is trained at this rate."""
        text = json.dumps(strict({**asdict(self), "rule": RULE}), indent=1, allow_nan=False)
        write_atomic(run.path / "learning_rate.json", f"{text}\n".encode())
        write_atomic(run.path / "learning_rate.svg", drawing.lite(chart(self), self.said).encode())


def asked(recipe: Recipe) -> bool:
    return isinstance(recipe.algorithm, Mapping) and recipe.algorithm.get("lr") == AUTO


def completed(recipe: Recipe, stream: Stream) -> Recipe:
    """The complete recipe, in which algorithm.lr=auto stays what it is."""
    if not asked(recipe):
        return defaults.completed(recipe, stream)
    named = {key: value for key, value in recipe.algorithm.items() if key != "lr"}
    full = defaults.completed(recipe.replace(algorithm=named), stream)
    if "lr" not in full.algorithm:
        name = full.algorithm["name"]
        raise UserError(f"algorithm.lr=auto with {name}, which has no rate", "sgd, adamw or another", "leave it out")
    return full.replace(algorithm={**full.algorithm, "lr": AUTO})


def settled(
    recipe: Recipe, stream: Stream, start: Program | None = None, watch: Watch | None = None
) -> tuple[Recipe, Sweep | None]:
    """The complete recipe with a number for its rate, and the range test that found it where one was asked for."""
    recipe = completed(recipe, stream)
    if not asked(recipe):
        return recipe, None
    watch = watch or Watch()
    found = sweep(recipe, stream, start, watch)
    watch.say(found.said)
    return recipe.replace(algorithm={**recipe.algorithm, "lr": found.chosen}), found


def sweep(recipe: Recipe, stream: Stream, start: Program | None, watch: Watch) -> Sweep:
    """Train a copy at rates that grow from step to step, until its loss leaves."""
    rule = recipe.algorithm["name"]
    usual = registry.arguments(registry.load("algorithms", rule))["lr"].default
    rates = [usual * LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1)) for step in range(STEPS)]
    plain = recipe.replace(algorithm={**recipe.algorithm, "lr": usual, "schedule": None})
    losses: list[float] = []
    with seeded("range test"):
        program = copy.deepcopy(start) if start else equation.assemble(plain, stream.schema)
        own = copy.deepcopy(stream) if stream.state_dict() else stream
        training = equation.Training(plain, own, program, None, Watch())
        name = only_loss(training)
        training.steps = STEPS
        for rate, window in zip(rates, windows(training), strict=False):
            training.algorithm.lr = rate  # type: ignore[attr-defined]
            training.one_step(window)
            row = training.trace.flush()
            losses.append(math.inf if "skipped" in row else row[name])
            watch.step(len(losses), STEPS)
            if has_left(losses):
                break
    return judged(rule, rates[: len(losses)], losses)


def only_loss(training: equation.Training) -> str:
    """What the trace calls the one loss whose rate is tested; a UserError where there is none, or several."""
    name = training.recipe.method["name"]
    expected, do = "a number for algorithm.lr", "write one, such as algorithm.lr=0.01"
    if not training.moves:
        raise UserError(f"algorithm.lr=auto with {name}, which takes no steps", "no rate", "leave it out")
    if len(training.moves) > 1:
        raise UserError(f"algorithm.lr=auto with {name}, which has {len(training.moves)} losses", expected, do)
    if training.moves[0].stacked:
        raise UserError(f"algorithm.lr=auto with {name}, which trains several nets at once", expected, do)
    if World.current().size > 1:
        raise UserError("algorithm.lr=auto on several processes", expected, do)
    move = training.moves[0].name
    return "loss" if move == "loss" else f"{move}.loss"


def windows(training: equation.Training) -> Iterator[Sequence[Batch]]:
    """Training batches for one step after another, pass after pass."""
    while True:
        batches = training.stream.batches("train", training.clock(), 0, training.act)
        for _ in range(training.windows):
            window = list(islice(batches, training.engine.accumulate))
            if window:
                yield window


def running(losses: Sequence[float]) -> list[float]:
    """Means that forget: Σ_k μ^(t−k) L_k / Σ_k μ^(t−k)."""
    found: list[float] = []
    total = 0.0
    for step, loss in enumerate(losses, 1):
        total = MEMORY * total + (1 - MEMORY) * loss
        found.append(total / (1 - MEMORY**step))
    return found


def has_left(losses: Sequence[float]) -> bool:
    """Whether the running mean is far above its lowest, or the loss is none any more."""
    if not math.isfinite(losses[-1]):
        return True
    means = running(losses)
    best = min(means)
    rise = means[-1] - best
    return rise > (RISE - 1) * abs(best) and rise > GAINED * (means[0] - best)


def smooth(losses: Sequence[float]) -> list[float]:
    """Each loss with its neighbours under a bell; those that are no numbers are left out."""
    known = [loss for loss in losses if math.isfinite(loss)]
    found: list[float] = []
    for place in range(len(known)):
        near = range(max(0, place - 3 * WIDTH), min(len(known), place + 3 * WIDTH + 1))
        bell = [math.exp(-0.5 * ((other - place) / WIDTH) ** 2) for other in near]
        found.append(sum(b * known[other] for b, other in zip(bell, near, strict=True)) / sum(bell))
    return found


def judged(algorithm: str, rates: list[float], losses: list[float]) -> Sweep:
    """The rate by `RULE`."""
    smoothed = smooth(losses)
    if len(smoothed) < 2:
        raise UserError("algorithm.lr=auto: the loss is not finite at any rate", "a loss", "look at the data")
    bottom = min(range(len(smoothed)), key=smoothed.__getitem__)
    falls = [smoothed[place] - smoothed[place + 1] for place in range(len(smoothed) - 1)]
    lowest, steepest = rates[bottom], rates[max(range(len(falls)), key=falls.__getitem__)]
    left = rates[-1] if has_left(losses) else None
    chosen = min(left / BELOW_RISE, lowest / BELOW_LOWEST) if left else min(lowest / BELOW_LOWEST, steepest)
    return Sweep(algorithm, rates, losses, smoothed, left, lowest, steepest, float(f"{chosen:.2g}"))


def chart(found: Sweep) -> dict[str, Any]:
    """Loss against rate, smoothed and as it was, with the rate that was chosen."""
    low = min(loss for loss in found.losses if math.isfinite(loss))
    top = found.smoothed[0] + 0.5 * (found.smoothed[0] - low)
    x = {"field": "rate", "type": "quantitative", "title": "learning rate",
         "scale": {"type": "log", "nice": False}, "axis": {"grid": False, "format": ".0e", "tickCount": 6}}  # fmt: skip
    y = {"type": "quantitative", "title": "loss on a training batch",
         "scale": {"domain": [low, top], "nice": True, "zero": False}}  # fmt: skip
    pairs = zip(found.rates, found.losses, found.smoothed, strict=False)
    rows = [{"rate": rate, "loss": loss, "smoothed": even} for rate, loss, even in pairs if math.isfinite(loss)]
    chosen = [{"rate": found.chosen, "words": f"chosen: {found.chosen:g}"}]
    line = {"type": "line", "clip": True}
    return {
        "width": 560, "height": 280, "title": f"Learning rate of {found.algorithm} by a range test",
        "data": {"values": rows}, "encoding": {"x": x},
        "layer": [
            {"mark": {**line, "color": drawing.SOFT, "strokeWidth": 1, "opacity": 0.5},
             "encoding": {"y": {**y, "field": "loss"}}},
            {"mark": {**line, "color": drawing.FIRST, "strokeWidth": 2.5},
             "encoding": {"y": {**y, "field": "smoothed"}}},
            {"data": {"values": chosen}, "mark": {"type": "rule", "color": drawing.SECOND, "strokeWidth": 2}},
            {"data": {"values": chosen}, "encoding": {"text": {"field": "words"}},
             "mark": {"type": "text", "align": "right", "dx": -6, "y": 8, "color": drawing.SECOND, "fontWeight": 600}},
        ],
    }  # fmt: skip
