"""Which weights a run ends with: the last ones, or the best that the valid split saw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from thetastar import registry
from thetastar.errors import UserError, nearest
from thetastar.evaluation import Values, of_each
from thetastar.protocols import Clock, Method, Program, Stream
from thetastar.recipe import Engine, Recipe
from thetastar.snapshot import cpu_copy


@runtime_checkable
class Several(Protocol):
    """A method of several learners, each of which is judged and comes to rest by itself."""

    count: int

    def each(self, out: Mapping[str, Tensor]) -> Sequence[Mapping[str, Tensor]]:
        """What each of them predicts, out of what all predict together."""
        ...

    def take(self, kept: dict[str, Tensor], now: Mapping[str, Tensor], which: Sequence[int]) -> None:
        """Put what these are now into a state of the program that is kept."""
        ...

    def rest(self, which: Sequence[int]) -> None:
        """These are not stepped any more."""
        ...


@dataclass
class Curve:
    """The best evaluation of a learner so far, and how many came since."""

    value: float = math.nan
    epoch: int = 0
    step: int = 0
    waited: int = 0

    def see(self, value: float, step: int, epoch: int, higher: bool) -> bool:
        """Whether this one is better than all before."""
        better = math.isnan(self.value) or (value > self.value if higher else value < self.value)
        if not better or math.isnan(value):
            self.waited += 1
            return False
        self.value, self.epoch, self.step, self.waited = value, epoch, step, 0
        return True


class Best(Curve):
    """The best evaluation so far, its weights, and whether patience has run out."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        engine = Engine(**recipe.engine)
        self.monitor, self.patience = engine.monitor, engine.patience
        self.active = engine.keep == "best" or engine.patience is not None
        specs = {spec["name"]: spec for spec in recipe.measures}
        if self.active and self.monitor not in specs:
            raise UserError(
                f"engine.monitor={self.monitor}", "one of the recipe's measures", nearest(str(self.monitor), specs)
            )
        self.higher = bool(self.active and registry.load("measures", str(self.monitor)).higher_is_better)
        self.seen = -1  # the step whose weights were judged last
        self.weights: dict[str, Tensor] = {}

    def judge(self, values: Values, step: int, epoch: int, program: Program) -> bool:
        """Take in an evaluation; True where training should stop."""
        if not self.active:
            return False
        self.seen = step
        if self.see(values[str(self.monitor)], step, epoch, self.higher):
            self.weights = cpu_copy(program.state_dict())
        return self.patience is not None and self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {**vars_of(self), "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.value, self.epoch, self.step, self.waited = (state[key] for key in ("value", "epoch", "step", "waited"))
        self.weights = dict(state["weights"])


class BestOfEach(Best):
    """The same of each learner of a method: who ran out of patience rests, and keeps its own best weights."""

    def __init__(self, recipe: Recipe, stream: Stream, count: int) -> None:
        super().__init__(recipe)
        self.recipe, self.stream, self.curves = recipe, stream, [Curve() for _ in range(count)]

    def judge(self, values: Values, step: int, epoch: int, program: Program) -> bool:
        if not self.active:
            return False
        self.seen = step
        self.see(values[str(self.monitor)], step, epoch, self.higher)
        method = program.method
        assert isinstance(method, Several)
        own = self.values_of(program, step)
        awake = [k for k, curve in enumerate(self.curves) if self.patience is None or curve.waited < self.patience]
        better = [k for k in awake if self.curves[k].see(own[k], step, epoch, self.higher)]
        if not self.weights:
            self.weights = cpu_copy(program.state_dict())
        elif better:
            method.take(self.weights, cpu_copy(program.state_dict()), better)
        done = [k for k in awake if self.patience is not None and self.curves[k].waited >= self.patience]
        method.rest(done)
        return len(done) == len(awake)

    def values_of(self, program: Program, step: int) -> list[float]:
        """The monitored measure of each learner."""
        method = program.method
        assert isinstance(method, Several)
        spec = next(spec for spec in self.recipe.measures if spec["name"] == self.monitor)
        return of_each(program, self.stream, spec, Clock(self.recipe.seed, step), method.count, method.each)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "curves": [vars_of(curve) for curve in self.curves]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.curves = [Curve(**curve) for curve in state["curves"]]


def vars_of(curve: Curve) -> dict[str, Any]:
    return {"value": curve.value, "epoch": curve.epoch, "step": curve.step, "waited": curve.waited}


def best_of(recipe: Recipe, stream: Stream, method: Method) -> Best:
    """What follows the valid curve of a run, or of each learner in it."""
    return BestOfEach(recipe, stream, method.count) if isinstance(method, Several) else Best(recipe)
