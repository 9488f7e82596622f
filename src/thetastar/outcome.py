"""What a run of the equation leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from thetastar.evaluation import Columns, Values
from thetastar.protocols import Clock, Program, Stream
from thetastar.recipe import Recipe


@dataclass
class Outcome:
    """The program at θ*, where it came from and what was seen on the way.

    Attributes:
        values, columns: of the measures on the valid split; empty where there is none.
        facts: what was decided or happened beyond the recipe: steps, seconds, precision, best epoch.
    """

    program: Program
    recipe: Recipe
    stream: Stream
    clock: Clock
    values: Values = field(default_factory=dict[str, float])
    columns: Columns = field(default_factory=Columns)
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
