"""Activations: values and derivatives, where they saturate, and what they cost here."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import torch
from rich.text import Text
from torch import Tensor

from thetastar.errors import UserError, nearest
from thetastar.explain.showing import Shown
from thetastar.functional.activations import ACTIVATIONS, Activation, softmax, softmax_jacobian
from thetastar.functional.drawing import FIRST, SECOND, lite
from thetastar.terminal import console

FLAT = 0.01  # a derivative below it lets nothing through
FAR, FINE = 2000, 100  # the curves are looked at from −20 to 20 in steps of 0.01
SEEN, LOW, HIGH = 4.0, -2.0, 3.0  # of the drawing
ENTRIES, ROUNDS = 2**16, 25  # of the measurement


@dataclass(frozen=True)
class Facts:
    """What the table says of one activation; `cost` is that of a step forward and back in those of relu."""

    name: str
    equation: str
    least: float
    largest: float
    steepest: float
    flat_below: float | None
    flat_above: float | None
    mean: float
    cost: float


def show(arguments: list[str]) -> Shown:
    """`[NAME …]`: some of them, or all."""
    known = candidates()
    for name in arguments:
        if name not in known:
            raise UserError(f"unknown activation '{name}'", f"one of {', '.join(known)}", nearest(name, known))
    names = arguments or [name for name in known if name != "identity"]
    costs = measured({name: timed(name, known[name]) for name in dict.fromkeys(["relu", *names])})
    facts = [facts_of(name, known[name], costs[name]) for name in names]
    table = console.table("φ", "is", "range", "largest φ′", "saturates", "mean output", "cost")
    for fact in facts:
        reach = f"{limit(fact.least)} … {limit(fact.largest)}"
        mean = f"{round(fact.mean, 2) + 0.0:.2f}".replace("-", "−")
        table.add_row(
            fact.name, fact.equation, reach, f"{fact.steepest:.3g}", saturation(fact), mean, f"{fact.cost:.1f}"
        )
    threads = torch.get_num_threads()
    rows = "; softmax over rows of 64" if any(name.startswith("softmax") for name in names) else ""
    notes = (
        f"\nsaturates: where |φ′| stays below {FLAT}; gradients do not come through there.\n"
        "mean output: of standard normal inputs; 0 is zero-centred.\n"
        f"cost: of a pass forward and back over {ENTRIES:,} numbers, relative to relu, measured on this machine "
        f"({threads} thread{'s' if threads > 1 else ''}, median of {ROUNDS} rounds in turn){rows}.\n"
        "Names after the topic show these alone, such as: activations gelu silu identity"
    )
    data = {"activations": [asdict(fact) for fact in facts], "flat": FLAT, "entries": ENTRIES, "threads": threads}
    label = "Activations and their derivatives"
    return Shown([table, Text(notes)], data, lite(curves({name: known[name] for name in names}), label), label)


def candidates() -> dict[str, Activation]:
    """All that are known by name, and softmax over two classes at three temperatures."""
    return ACTIVATIONS | {f"softmax τ={temperature:g}": of_two(temperature) for temperature in (0.5, 1.0, 2.0)}


def of_two(temperature: float) -> Activation:
    """The first share of softmax((x, 0) / τ), which is σ(x / τ)."""

    def value(x: Tensor) -> Tensor:
        return softmax(torch.stack([x, torch.zeros_like(x)], -1), temperature)[..., 0]

    def derivative(x: Tensor) -> Tensor:
        return softmax_jacobian(torch.stack([x, torch.zeros_like(x)], -1), temperature)[..., 0, 0]

    value.__doc__ = "exp(x/τ) / (exp(x/τ) + 1): the share of x beside 0."
    return Activation(value, derivative)


def facts_of(name: str, activation: Activation, cost: float) -> Facts:
    x = torch.arange(-FAR, FAR + 1, dtype=torch.float64) / FINE  # meets 0 and ±3, where kinks are
    y, slope = activation.value(x), activation.derivative(x).abs()
    low, high = activation.value(torch.tensor([-1e6, 1e6], dtype=torch.float64)).tolist()
    steep = (slope >= FLAT).nonzero()
    first, last = int(steep[0]), int(steep[-1])
    density = (-x.square() / 2).exp() / math.sqrt(2 * math.pi)
    return Facts(
        name=name,
        equation=activation.equation.rstrip("."),
        least=-math.inf if low < -1e3 else min(low, y.min().item()),
        largest=math.inf if high > 1e3 else max(high, y.max().item()),
        steepest=slope.max().item(),
        flat_below=round(x[first - 1].item(), 2) if first else None,
        flat_above=round(x[last + 1].item(), 2) if last < len(x) - 1 else None,
        mean=torch.trapezoid(y * density, x).item(),
        cost=cost,
    )


def timed(name: str, activation: Activation) -> Callable[[Tensor], Tensor]:
    """What is measured: the activation; softmax over rows of 64."""
    temperature = float(name.partition("τ=")[2] or 0)
    return (lambda x: softmax(x.view(-1, 64), temperature).view(-1)) if temperature else activation.value


def measured(functions: dict[str, Callable[[Tensor], Tensor]]) -> dict[str, float]:
    """Median seconds forward and back, in those of relu; in turn, so that a busy moment falls on all."""
    x = torch.randn(ENTRIES, generator=torch.Generator().manual_seed(0)).requires_grad_()
    one = torch.ones(ENTRIES)
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            begin = time.perf_counter()
            torch.autograd.grad(function(x), x, one)
            seconds[name].append(time.perf_counter() - begin)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return {name: value / middle["relu"] for name, value in middle.items()}


def limit(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value + 0.0:.3g}".replace("-", "−") if abs(value) >= 1e-6 else "0"


def saturation(fact: Facts) -> str:
    sides = [
        f"x {sign} {limit(place)}"
        for sign, place in (("<", fact.flat_below), (">", fact.flat_above))
        if place is not None
    ]
    return ", ".join(sides) or "nowhere"


def curves(activations: dict[str, Activation]) -> dict[str, object]:
    """A small chart each: φ and φ′ from −4 to 4 on the same axes."""
    x = torch.linspace(-SEEN, SEEN, 161, dtype=torch.float64)
    rows = [
        {"name": name, "x": place, "y": height, "curve": curve}
        for name, activation in activations.items()
        for curve, heights in (("φ", activation.value(x)), ("φ′", activation.derivative(x)))
        for place, height in inside(x, heights)
    ]
    plain = {"type": "quantitative", "axis": {"title": None, "tickCount": 4}}
    return {
        "data": {"values": rows},
        "facet": {"field": "name", "type": "nominal", "sort": list(activations), "header": {"title": None}},
        "columns": 4,
        "spacing": {"row": 14, "column": 18},
        "spec": {
            "width": 165,
            "height": 120,
            "mark": {"type": "line", "strokeWidth": 2, "clip": True},
            "encoding": {
                "x": {"field": "x", **plain},
                "y": {"field": "y", "scale": {"domain": [LOW, HIGH]}, **plain},
                "color": {
                    "field": "curve",
                    "scale": {"domain": ["φ", "φ′"], "range": [FIRST, SECOND]},
                    "legend": {"title": None, "orient": "top", "symbolStrokeWidth": 3},
                },
            },
        },
    }


def inside(x: Tensor, y: Tensor) -> Iterable[tuple[float, float]]:
    """Points that the drawing shows, and a little beyond."""
    return [(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True) if LOW - 1 <= b <= HIGH + 1]
