"""Which weights a run ends with: the last ones, or the best that the valid split saw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from thetastar import registry
from thetastar.errors import UserError, nearest
from thetastar.evaluation import Values
from thetastar.protocols import Program
from thetastar.recipe import Engine, Recipe
from thetastar.snapshot import cpu_copy


class Best:
    """The best evaluation so far, its weights, and whether patience has run out."""

    def __init__(self, recipe: Recipe) -> None:
        engine = Engine(**recipe.engine)
        self.monitor, self.patience = engine.monitor, engine.patience
        self.active = engine.keep == "best" or engine.patience is not None
        specs = {spec["name"]: spec for spec in recipe.measures}
        if self.active and self.monitor not in specs:
            raise UserError(
                f"engine.monitor={self.monitor}", "one of the recipe's measures", nearest(str(self.monitor), specs)
            )
        self.higher = bool(self.active and registry.load("measures", str(self.monitor)).higher_is_better)
        self.value, self.epoch, self.step, self.waited = math.nan, 0, 0, 0
        self.seen = -1  # the step whose weights were judged last
        self.weights: dict[str, Tensor] = {}

    def see(self, values: Values, step: int, epoch: int, program: Program) -> bool:
        """Take in an evaluation; True where training should stop."""
        if not self.active:
            return False
        self.seen, value = step, values[str(self.monitor)]
        better = math.isnan(self.value) or (value > self.value if self.higher else value < self.value)
        if better and not math.isnan(value):
            self.value, self.epoch, self.step, self.waited = value, epoch, step, 0
            self.weights = cpu_copy(program.state_dict())
        else:
            self.waited += 1
        return self.patience is not None and self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "epoch": self.epoch,
            "step": self.step,
            "waited": self.waited,
            "weights": self.weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.value, self.epoch, self.step, self.waited = (state[key] for key in ("value", "epoch", "step", "waited"))
        self.weights = dict(state["weights"])
