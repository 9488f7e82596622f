"""The loss around the weights of a run: along random directions, and in the plane of the path that led there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from thetastar import equation
from thetastar.errors import UserError
from thetastar.explain.contours import Panels, Slice, Track, figure
from thetastar.explain.risk import Risk, risk_of
from thetastar.explain.showing import Shown
from thetastar.functional.curvature import flat
from thetastar.functional.keys import generator
from thetastar.functional.landscape import along, principal, random_direction
from thetastar.star import Star
from thetastar.watch import Watch

EXAMPLES = 500
LINE = 51  # places of the one-dimensional slice
MOMENTS = 60  # weights kept of a path at most
KEPT = 2**28  # numbers kept of a path at most
ROOM = 0.2  # around a path, as a share of its width


@dataclass
class Way:
    """How the weights moved, in the plane of their two principal directions; θ* is the origin.

    Attributes:
        steps, places: after how many updates, (moments, 2) where.
        shares: of the squared distances from θ* that the two directions hold.
        same: whether training again ended in the very bits of the run.
    """

    steps: list[int]
    places: list[list[float]]
    shares: list[float]
    same: bool


@dataclass
class Seen:
    """What was computed of one run.

    Attributes:
        line: losses along one filter-normalised random direction.
        plane: losses in the plane of two of them.
        around: losses in the plane of the way.
    """

    name: str
    risk: Risk
    loss: float
    line: Slice
    plane: Slice
    way: Way
    directions: Tensor
    around: Slice | None = None


class Collector(Watch):
    """Keeps the weights of every `every`-th step while a program is trained."""

    def __init__(self, weights: Sequence[Tensor], every: int, heard: Watch) -> None:
        self.weights, self.every, self.heard = weights, every, heard
        self.steps, self.kept = [0], [flat(weights).cpu()]

    def step(self, step: int, steps: int) -> None:
        if step % self.every == 0 or step == steps:
            self.steps.append(step)
            self.kept.append(flat(self.weights).cpu())
        self.heard.step(step, steps)


def repeated(star: Star, names: Sequence[str], watch: Watch) -> tuple[list[int], Tensor, bool]:
    """Train again from the recipe and keep the weights on the way: a run is a function of its recipe.

    Returns:
        Steps, (moments, n) weights of those names, and whether the program ended in the very bits of the run.
    """
    engine = {**star.recipe.engine, "precision": star.facts["precision"], "compile": star.facts.get("compiled", False)}
    recipe = star.recipe.replace(budget={"steps": star.facts["planned_steps"]}, engine=engine)
    start = equation.assemble(recipe, star.stream.schema).to(star.device)
    held = dict(start.named_parameters())
    weights = [held[name] for name in names]
    moments = max(3, min(MOMENTS, KEPT // sum(weight.numel() for weight in weights)))
    collector = Collector(weights, max(1, math.ceil(star.facts["planned_steps"] / moments)), watch)
    threads = torch.get_num_threads()
    torch.set_num_threads(star.facts["threads"])  # bits depend on them
    try:
        outcome = equation.fit(recipe, stream=star.stream, start=start, watch=collector)
    finally:
        torch.set_num_threads(threads)
    ended, own = outcome.program.state_dict(), star.program.state_dict()
    same = all(torch.equal(ended[name].cpu(), value.cpu()) for name, value in own.items())
    return collector.steps, torch.stack(collector.kept), same


def seen(name: str, star: Star, examples: int, grid: int, watch: Watch) -> Seen:
    """One run: its slices along random directions, and the way that led to it."""
    risk = risk_of(star, examples)
    if star.facts["steps"] < 2:
        raise UserError(f"{name} took {star.facts['steps']} step", "a path of at least 2", "train it for longer")
    watch.row({"run": f"{name}, training again"})
    steps, path, same = repeated(star, list(risk.move.parameters), watch)
    directions, places, shares = principal(path, flat(risk.weights).cpu())
    way = Way(steps, places.tolist(), shares.tolist(), same)
    watch.row({"run": f"{name}, random directions"})
    # the same draws for every run, so that nets of one shape are seen along the same ones
    drawn = [random_direction(risk.weights, generator("landscape", k)) for k in range(2)]
    line = sliced(risk, drawn[:1], [torch.linspace(-1, 1, LINE)], watch)
    plane = sliced(risk, drawn, [torch.linspace(-1, 1, grid)] * 2, watch)
    return Seen(name, risk, risk.value(), line, plane, way, directions)


def sliced(risk: Risk, directions: Sequence[Sequence[Tensor]], axes: Sequence[Tensor], watch: Watch) -> Slice:
    """The loss at every place of a grid; the last axis varies slowest."""
    places = torch.cartesian_prod(*reversed(axes)).reshape(-1, len(axes)).flip(1)
    done = iter(range(1, len(places) + 1))

    def value() -> float:
        found = risk.value()
        watch.step(next(done), len(places))
        return found

    losses = along(value, risk.weights, directions, places).reshape(*(len(axis) for axis in reversed(axes)))
    return Slice([axis.tolist() for axis in axes], losses.tolist())


def around(runs: Sequence[Seen], grid: int, watch: Watch) -> None:
    """The planes of the ways, of the same extent for all runs."""
    places = torch.tensor([place for run in runs for place in [*run.way.places, [0.0, 0.0]]])
    low, high = places.min(0).values, places.max(0).values
    room = ROOM * (high - low).clamp_min(0.05 * (high - low).max()).clamp_min(1e-6)
    axes = [torch.linspace(float(a), float(b), grid) for a, b in zip(low - room, high + room, strict=True)]
    for run in runs:
        watch.row({"run": f"{run.name}, along its path"})
        sizes = [weight.numel() for weight in run.risk.weights]
        split = [direction.to(run.risk.weights[0].device).split(sizes) for direction in run.directions]
        shaped = [[part.view(w.shape) for part, w in zip(one, run.risk.weights, strict=True)] for one in split]
        run.around = sliced(run.risk, shaped, axes, watch)


def show(stars: Mapping[str, Star], examples: int | None = None, grid: int = 25, watch: Watch | None = None) -> Shown:
    """Runs by name, side by side on the same scales."""
    watch = watch or Watch()
    runs = [seen(name, star, examples or EXAMPLES, grid, watch) for name, star in stars.items()]
    around(runs, grid, watch)
    label = "loss around the weights of " + ", ".join(f"{run.name} ({run.loss:.3g})" for run in runs)
    panels = [Panels(run.name, run.line, run.plane, shown_way(run)) for run in runs]
    return Shown(told(runs), {"runs": [about(run) for run in runs]}, figure(panels, label), label)


def shown_way(run: Seen) -> Track:
    assert run.around is not None
    across, up = (100 * share for share in run.way.shares)
    return Track(run.around, run.way.places, (f"first direction of the path, {across:.0f}%", f"second, {up:.0f}%"))


def about(run: Seen) -> dict[str, Any]:
    assert run.around is not None
    return {
        "run": run.name,
        "loss": run.loss,
        "examples": {"used": run.risk.used, "of": run.risk.of},
        "line": vars(run.line),
        "plane": vars(run.plane),
        "path": {**vars(run.way), **vars(run.around)},
        "said": run.risk.said,
    }


def told(runs: Sequence[Seen]) -> list[RenderableType]:
    """The loss along the random direction as a table, then what a reader must know."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("loss at α =")
    shown = range(0, LINE, (LINE - 1) // 10)
    for place in shown:
        table.add_column(f"{runs[0].line.axes[0][place]:.1f}".replace("-0.0", "0.0"), justify="right")
    for run in runs:
        table.add_row(run.name, *(f"{run.line.losses[place]:.3g}" for place in shown))
    parts: list[RenderableType] = [Text("θ* + α d, d a random direction with filters as long as those of θ*\n"), table]
    for run in runs:
        across, up = (100 * share for share in run.way.shares)
        end = "ended in the same bits" if run.way.same else "ended elsewhere: the path is one like it"
        parts.append(Text(f"\n{run.name}: training again for the path {end}"))
        parts.append(Text(f"of its squared distances from θ*, {across:.1f}% and {up:.1f}% lie in the plane drawn"))
        parts += [Text(line) for line in run.risk.said]
    return parts
