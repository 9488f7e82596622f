"""Two steps of every algorithm from the same place on the same gradients, and where fifteen of them lead."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from rich.text import Text
from torch import Tensor
from torch.nn import Parameter

from thetastar import registry
from thetastar.explain.rules import Rule, formulas, rules
from thetastar.explain.showing import Shown
from thetastar.functional.drawing import FIRST, SOFT, lite
from thetastar.protocols import Aux, Batch, Clock, Move
from thetastar.registry import Spec
from thetastar.terminal import console

TURN, FLAT, STEEP = math.radians(25), 1.0, 20.0  # of the valley: where it runs, curvature along it and across
START = (-2.0, 1.0)
SHORT = 0.02  # of plain gradient descent between the two gradients
STEPS = 15
RATES = [10 ** (k / 4) for k in range(-10, 9)]  # 0.003 … 100: what a path may choose from
WIDE, HIGH = 2.6, 1.7  # half of what the drawing shows


@dataclass(frozen=True)
class Step:
    """Δθ, its length, and the cosine of the angle to −g: 1 is straight down."""

    change: list[float]
    length: float
    cosine: float


def show(arguments: list[str]) -> Shown:
    """`[ALGORITHM …]`: some of them, or all; or the folder of a run, and then these."""
    folder = arguments[0] if arguments else ""
    if folder and (Path(folder).is_dir() or Path(folder).name != folder):
        from thetastar.explain import stepping  # here, for it brings all of the engine

        return stepping.show(folder, arguments[1:])
    found = rules(arguments)
    here = torch.tensor(START, dtype=torch.float64)
    first = hessian() @ here
    second = hessian() @ (here - SHORT * first)
    steps = {rule.label: two_steps(rule.spec, here, (first, second)) for rule in found}
    paths = {rule.label: best_path(rule) for rule in found}
    table = console.table("rule", "η", "step on g₁", "length", "cos", "step on g₂", "length", "cos")
    for rule in found:
        cells = [cell for step in steps[rule.label] for cell in cells_of(step)]
        table.add_row(rule.label, rule.rate, *cells)
    ends = console.table("rule", "η", f"f after {STEPS} steps")
    for rule in found:
        rate, _, values = paths[rule.label]
        ends.add_row(rule.label, "search" if rate is None else f"{rate:.3g}", small(values[-1]))
    said = (
        f"θ = {pair(START)} as a matrix of one row, g₁ = {pair(first.tolist())}, g₂ = {pair(second.tolist())}, the same"
        f" for all; curvature {FLAT:g} along a valley and {STEEP:g} across. Defaults of each rule, no schedule.\n"
    )
    note = (
        "\ncos: of the angle between a step and −g; 1 is straight down the gradient, 0 along the contour.\n\n"
        + formulas(found)
        + f"\n\nFrom the same θ on f(θ) = θᵀHθ/2, which is {value_at(here):.3g} there, each rule with that of"
        f" {len(RATES)} step sizes from {RATES[0]:.3f} to {RATES[-1]:g} which keeps f lowest on the way\n"
    )
    data = {
        "place": list(START),
        "hessian": hessian().tolist(),
        "gradients": [first.tolist(), second.tolist()],
        "rules": [asdict(rule) | {"steps": [asdict(step) for step in steps[rule.label]]} for rule in found],
        "paths": {
            label: {"lr": rate, "points": points, "values": values} for label, (rate, points, values) in paths.items()
        },
    }
    label = f"{STEPS} steps of every algorithm in a narrow valley"
    more = Text("\nTo change: names of algorithms, or the folder of a run to see one step of each from its weights")
    return Shown([Text(said), table, Text(note), ends, more], data, lite(figure(paths), label), label)


@cache
def hessian() -> Tensor:
    """H = R diag(flat, steep) Rᵀ, R the turn."""
    c, s = math.cos(TURN), math.sin(TURN)
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    return turn @ torch.diag(torch.tensor([FLAT, STEEP], dtype=torch.float64)) @ turn.T


def value_at(theta: Tensor) -> float:
    return (theta @ hessian() @ theta / 2).item()


class Walk:
    """θ under an algorithm; each `step` sees the gradient it is given, in a landscape of curvature H."""

    def __init__(self, spec: Spec, here: Tensor, steps: int) -> None:
        self.theta = Parameter(here.clone()[None])  # (1, 2): a matrix, so that every rule acts as on weights
        self.move = Move("loss", {"f.weight": self.theta})
        self.algorithm = registry.build("algorithms", spec)
        self.state = self.algorithm.init(self.move)
        self.done, self.steps = 0, steps

    @property
    def here(self) -> Tensor:
        return self.theta.detach()[0].clone()

    def step(self, gradient: Tensor) -> Tensor:
        """Δθ of one step on gᵀ(θ − θ_t) + (θ − θ_t)ᵀ H (θ − θ_t) / 2."""
        before = self.here

        def loss(batch: Batch, part: int) -> tuple[Tensor, Aux]:
            gone = self.theta[0] - before
            return gradient @ gone + gone @ hessian() @ gone / 2, Aux()

        batch = {"input": self.theta.detach()}
        self.algorithm.update(self.move, loss, [batch], self.state, Clock(0, self.done, self.steps))
        self.done += 1
        return self.here - before


def two_steps(spec: Spec, here: Tensor, gradients: tuple[Tensor, Tensor]) -> list[Step]:
    walk = Walk(spec, here, 2)
    found: list[Step] = []
    for gradient in gradients:
        change = walk.step(gradient)
        length = change.norm().item()
        cosine = (-change @ gradient / (change.norm() * gradient.norm())).item() if length else 0.0
        found.append(Step(change.tolist(), length, cosine))
    return found


def path_of(spec: Spec) -> tuple[list[list[float]], list[float]]:
    """Places and values of `STEPS` steps on f itself; cut short where it leaves the valley."""
    walk = Walk(spec, torch.tensor(START, dtype=torch.float64), STEPS)
    points, values = [list(START)], [value_at(walk.here)]
    for _ in range(STEPS):
        walk.step(hessian() @ walk.here)
        points.append(walk.here.tolist())
        values.append(value_at(walk.here))
        if not values[-1] < 100 * values[0]:
            break
    return points, values


def best_path(rule: Rule) -> tuple[float | None, list[list[float]], list[float]]:
    """The path with the step size that keeps f lowest on the way: the last value alone would reward a lucky jump."""
    if rule.lr is None:
        return None, *path_of(rule.spec)
    found = [(rate, *path_of({**rule.spec, "lr": rate})) for rate in RATES]
    return min((path for path in found if len(path[2]) == STEPS + 1), key=lambda path: sum(path[2]))


def pair(numbers: Any) -> str:
    return "(" + ", ".join(f"{number:.3g}" for number in numbers).replace("-", "−") + ")"


def small(value: float, sign: str = "") -> str:
    return f"{sign}{value:.2g}".replace("-", "−") if value >= 1e-12 else "< 1e−12"


def cells_of(step: Step) -> tuple[str, str, str]:
    return pair(step.change), f"{step.length:.3g}", f"{step.cosine:.3f}".replace("-", "−")


def ellipses() -> list[list[tuple[float, float]]]:
    """Contours of f, each a quarter of the height of the one outside it."""
    found = []
    c, s = math.cos(TURN), math.sin(TURN)
    for share in (1.0, 0.25, 0.0625, 0.015625):
        level = share * value_at(torch.tensor(START, dtype=torch.float64))
        along, across = math.sqrt(2 * level / FLAT), math.sqrt(2 * level / STEEP)
        angles = [2 * math.pi * k / 90 for k in range(91)]
        spots = [(along * math.cos(angle), across * math.sin(angle)) for angle in angles]
        found.append([(c * u - s * v, s * u + c * v) for u, v in spots])
    return found


def figure(paths: dict[str, tuple[float | None, list[list[float]], list[float]]]) -> dict[str, Any]:
    """A small map for every rule: the valley, and the way through it."""
    rows, labels = [], []
    for name, (rate, points, values) in paths.items():
        label = f"{name}|{'' if rate is None else f'η = {rate:.3g}, '}f {small(values[-1], '= ')}"
        labels.append(label)
        lines = [("contour", points_of) for points_of in ellipses()] + [("path", points)]
        rows += [
            {"rule": label, "kind": kind, "line": number, "order": order, "x": x, "y": y}
            for number, (kind, spots) in enumerate(lines)
            for order, (x, y) in enumerate(spots)
        ]
    bare = {"type": "quantitative", "axis": {"title": None, "tickCount": 4}}
    place = {
        "x": {"field": "x", "scale": {"domain": [-WIDE, WIDE], "nice": False}, **bare},
        "y": {"field": "y", "scale": {"domain": [-HIGH, HIGH], "nice": False}, **bare},
        "order": {"field": "order"},
        "detail": {"field": "line"},
    }
    contour = {"type": "line", "stroke": SOFT, "strokeOpacity": 0.45, "strokeWidth": 1, "clip": True}
    way = {"type": "line", "stroke": FIRST, "strokeWidth": 1.5, "clip": True, "point": {"fill": FIRST, "size": 14}}
    header = {"title": None, "labelExpr": "split(datum.label, '|')", "labelLineHeight": 14, "labelFontSize": 11}
    return {
        "data": {"values": rows},
        "facet": {"field": "rule", "type": "nominal", "sort": labels, "header": header},
        "columns": 4,
        "spacing": {"row": 16, "column": 18},
        "spec": {
            "width": 52 * 2 * WIDE * 0.75,
            "height": 52 * 2 * HIGH * 0.75,
            "layer": [
                {"transform": [{"filter": "datum.kind == 'contour'"}], "mark": contour, "encoding": place},
                {"transform": [{"filter": "datum.kind == 'path'"}], "mark": way, "encoding": place},
            ],
        },
    }
