"""How long a comparison will take, and how far it is."""

from __future__ import annotations

import time

from thetastar import equation
from thetastar.budget import planned_steps, probe
from thetastar.protocols import Stream
from thetastar.recipe import Recipe
from thetastar.trace import Row
from thetastar.watch import Watch

PROBE = 4.0  # seconds of budget that a probe imagines; it takes a twentieth of that
BRIEF = 0.2  # seconds that a training without steps is taken for: it cannot be probed


def expected_seconds(recipe: Recipe, stream: Stream) -> float:
    """What one training of a complete recipe takes, from some steps on a copy that is thrown away."""
    if recipe.budget.get("seconds") is not None:
        return float(recipe.budget["seconds"])
    training = equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())
    if not training.moves:
        return BRIEF
    return planned_steps(training) * PROBE / max(probe(training, PROBE), 1)


def duration(seconds: float) -> str:
    """'40 s', '3 min', '2.5 h'."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Overall:
    """Progress over all trainings, in milliseconds of what they should take, so that the time left comes out right."""

    def __init__(self, watch: Watch, expected: float) -> None:
        self.watch, self.total, self.done, self.began = watch, max(expected, 1e-3), 0.0, time.perf_counter()
        self.decisions: set[tuple[str, str]] = set()

    def part(self, expected: float, name: str) -> Watch:
        return Part(self, expected, name)

    def show(self, doing: float) -> None:
        at = min(self.done + doing, self.total)
        self.watch.step(round(1000 * at), round(1000 * self.total))

    def finish(self, expected: float) -> None:
        self.done += expected
        self.show(0.0)

    def left(self) -> str:
        """The time to go at the pace so far."""
        share = min(max(self.done / self.total, 1e-9), 1.0)
        return duration((time.perf_counter() - self.began) * (1 - share) / share)


class Part(Watch):
    """One training within the whole; what it says carries its name."""

    def __init__(self, overall: Overall, expected: float, name: str) -> None:
        self.overall, self.expected, self.name = overall, expected, name

    @property
    def leaving(self) -> bool:  # type: ignore[override]
        return self.overall.watch.leaving

    def step(self, step: int, steps: int) -> None:
        self.overall.show(self.expected * step / max(steps, 1))

    def row(self, row: Row) -> None:
        self.overall.watch.row({"run": self.name, **row})

    def say(self, line: str) -> None:
        self.overall.watch.say(f"{self.name}: {line}")

    def decided(self, line: str) -> None:
        learner = self.name.partition(",")[0]
        if (learner, line) not in self.overall.decisions:
            self.overall.decisions.add((learner, line))
            self.overall.watch.say(f"{learner}: {line}")
