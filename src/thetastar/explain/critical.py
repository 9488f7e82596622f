"""Where training came to rest: minimum, maximum, saddle, or no rest at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from thetastar.explain.risk import Risk, risk_of
from thetastar.explain.showing import Shown
from thetastar.functional import drawing
from thetastar.functional.curvature import flat
from thetastar.functional.keys import generator
from thetastar.functional.lanczos import lanczos, trace_estimate
from thetastar.star import Star
from thetastar.watch import Watch

DENSE = 2000  # parameters up to which all eigenvalues are computed
STEPS = 120  # products with the Hessian at most
PROBES = 10  # more, for the trace
STILL = 1e-3  # relative gradient up to which a point is critical; training in float32 comes no nearer
FLAT = 1e-4  # share of the largest |λ| within which an eigenvalue counts as 0
EXAMPLES = 2000


@dataclass(frozen=True)
class Curvature:
    """Eigenvalues of the Hessian, all of them or those at the ends.

    Attributes:
        values: ascending.
        residuals: how far from an eigenvalue each of them is at most.
        whole: whether these are all.
        trace, error: Σ λ, and the standard error of its estimate.
        steps: products that were taken.
    """

    values: Tensor
    residuals: Tensor
    whole: bool
    trace: float
    error: float
    steps: int


@dataclass(frozen=True)
class Judged:
    """The verdict on a point, with its reasons in a sentence."""

    verdict: str
    because: str
    counts: Mapping[str, int]


def relative_gradient(gradient: Tensor, weights: Tensor, loss: float) -> float:
    """maxᵢ |gᵢ| max(|θᵢ|, 1) / max(|L|, 1): how much the loss changes, relative to itself, where a weight changes
    relative to itself.

    Source: Dennis and Schnabel 1983, Numerical methods for unconstrained optimization and nonlinear equations, 7.2.
    """
    return float((gradient.abs() * weights.abs().clamp_min(1)).max() / max(abs(loss), 1.0))


def curvature_of(risk: Risk, watch: Watch | None = None) -> Curvature:
    """Dense for few parameters; from a Krylov space for many."""
    watch = watch or Watch()
    if risk.count <= DENSE:
        values = torch.linalg.eigvalsh(risk.hessian())
        return Curvature(values, torch.zeros_like(values), True, values.sum().item(), 0.0, risk.count)
    draws = generator(risk.clock.seed, "critical")
    start = torch.randn(risk.count, generator=draws, dtype=torch.float64).to(risk.weights[0])
    total = STEPS + PROBES
    found = lanczos(risk.product, start, STEPS, heard=lambda done: watch.step(done, total))
    trace, error = trace_estimate(risk.product, start, PROBES, draws)
    watch.step(total, total)
    return Curvature(found.values, found.residuals, False, trace, error, found.steps)


def judge(relative: float, curvature: Curvature) -> Judged:
    """Not critical where the gradient is not small; else by the signs of the eigenvalues."""
    values = curvature.values
    zero = FLAT * values.abs().max().item()
    counts = {
        "negative": int((values < -zero).sum()),
        "flat": int((values.abs() <= zero).sum()),
        "positive": int((values > zero).sum()),
    }
    below, above = counts["negative"], counts["positive"]
    if relative > STILL:
        return Judged("not critical", f"the relative gradient {relative:.3g} exceeds {STILL:g}", counts)
    seen = "" if curvature.whole else f" among the {len(values)} values that were found"
    if below and above:
        return Judged("saddle", f"curvature of both signs{seen}", counts)
    if not below and not above:
        return Judged("flat", "no curvature in any direction: nothing can be said", counts)
    open_ = "; along the flat directions second derivatives do not decide" if counts["flat"] else ""
    kind, sign = ("minimum", "negative") if above else ("maximum", "positive")
    return Judged(kind, f"no {sign} curvature{seen}{open_}", counts)


def stability(algorithm: Mapping[str, Any]) -> float | None:
    """The largest η λ at which a rule stands still on a quadratic: 2 for gradient descent, more with momentum.

    None where the rule rescales its steps, so that λ alone says nothing.

    Source: Cohen, Kaur, Li, Kolter and Talwalkar 2021, Gradient descent on neural networks typically occurs at the
    edge of stability, appendix B.
    """
    if algorithm["name"] != "sgd":
        return None
    momentum = algorithm["momentum"]
    return 2 * (1 + momentum) / (1 + 2 * momentum if algorithm["nesterov"] else 1)


def show(star: Star, examples: int | None = None, watch: Watch | None = None) -> Shown:
    """The gradient, the ends of the spectrum and the verdict at the weights of a run."""
    risk = risk_of(star, examples or EXAMPLES, exact=True)
    loss, gradient = risk.value(), risk.gradient()
    curvature = curvature_of(risk, watch)
    relative = relative_gradient(gradient, flat(risk.weights), loss)
    judged = judge(relative, curvature)
    largest = curvature.values[-1].item()
    rate, bound = star.recipe.algorithm.get("lr"), stability(star.recipe.algorithm)
    data = {
        "verdict": judged.verdict,
        "because": judged.because,
        "loss": loss,
        "parameters": risk.count,
        "gradient_norm": gradient.norm().item(),
        "relative_gradient": relative,
        "eigenvalues": {
            "all": curvature.whole,
            "values": curvature.values.tolist(),
            "residuals": curvature.residuals.tolist(),
            "products": curvature.steps,
            **judged.counts,
        },
        "sharpness": {
            "largest": largest,
            "rate": rate,
            "product": rate * largest if rate else None,
            "bound": bound,
        },
        "trace": {"value": curvature.trace, "standard_error": curvature.error},
        "tolerances": {"relative_gradient": STILL, "flat": FLAT},
        "examples": {"used": risk.used, "of": risk.of},
        "said": risk.said,
    }
    ends = f"eigenvalues of the Hessian from {curvature.values[0]:.3g} to {largest:.3g}: {judged.verdict}"
    return Shown(parts(data, curvature), data, drawing.lite(spectrum(curvature), ends), ends)


def spectrum(curvature: Curvature) -> dict[str, Any]:
    """Eigenvalues in their order, on a scale that is logarithmic on both sides of what counts as flat."""
    values = curvature.values
    zero = max(FLAT * values.abs().max().item(), 1e-12)
    rows = [{"rank": rank, "value": value, "negative": value < -zero} for rank, value in enumerate(values.tolist(), 1)]
    what = "all eigenvalues" if curvature.whole else f"{len(values)} values found by {curvature.steps} products"
    y = {"field": "value", "type": "quantitative", "title": "eigenvalue", "scale": {"type": "symlog", "constant": zero},
         "axis": {"format": "~g", "values": decades(values, zero)}}  # fmt: skip
    x = {"field": "rank", "type": "quantitative", "title": "rank, from the smallest", "scale": {"nice": False},
         "axis": {"grid": False, "tickCount": 5, "format": ",d"}}  # fmt: skip
    colour = {"condition": {"test": f"datum.value < -{zero}", "value": drawing.SECOND}, "value": drawing.FIRST}
    sign = {"field": "negative", "type": "nominal"}
    mark = {"type": "line", "strokeWidth": 3} if len(rows) > 150 else {"type": "point", "filled": True, "opacity": 1}
    return {
        "width": 560, "height": 300, "title": f"Curvature of the loss: {what}", "data": {"values": rows},
        "encoding": {"x": x, "y": y},
        "layer": [
            {"mark": mark, "encoding": {"color": colour, "detail": sign}},
            {"mark": {"type": "rule", "color": drawing.INK}, "encoding": {"x": None, "y": {"datum": 0}}},
        ],
    }  # fmt: skip


def decades(values: Tensor, zero: float) -> list[float]:
    """Powers of ten on either side of 0, from the first that does not count as flat."""
    top = values.abs().max().clamp_min(1e-12).log10().ceil().int().item()
    low = math.ceil(math.log10(zero))
    sides = [10.0**k for k in range(low, int(top) + 1)]
    return [*(-side for side in reversed(sides)), 0.0, *sides]


def parts(data: Mapping[str, Any], curvature: Curvature) -> list[RenderableType]:
    """The verdict first, then the numbers that it rests on."""
    table = Table.grid(padding=(0, 2))
    values, counts = curvature.values, data["eigenvalues"]
    of = "of all" if curvature.whole else "of those found"
    signs = f"{counts['negative']:,} negative, {counts['flat']:,} flat, {counts['positive']:,} positive"
    table.add_row("loss", f"{data['loss']:.6g}")
    table.add_row("gradient norm", f"{data['gradient_norm']:.3g}")
    table.add_row("relative gradient", f"{data['relative_gradient']:.3g}, critical up to {STILL:g}")
    for name, end in (("largest eigenvalue", -1), ("smallest eigenvalue", 0)):
        margin = (
            "" if curvature.whole else f" ± {max(curvature.residuals[end].item(), 1e-12 * values[-1].abs().item()):.1g}"
        )
        table.add_row(name, f"{values[end]:.4g}{margin}")
    table.add_row("signs", f"{signs}, {of} {len(values):,} ({FLAT:g} of the largest counts as flat)")
    error = f" ± {curvature.error:.2g}" if curvature.error else ""
    table.add_row("trace", f"{curvature.trace:.4g}{error}")
    sharp = data["sharpness"]
    if sharp["rate"]:
        bound = f"stable up to {sharp['bound']:.3g}" if sharp["bound"] else "no bound: the rule rescales its steps"
        table.add_row("η λ_max", f"{sharp['rate']:g} · {sharp['largest']:.4g} = {sharp['product']:.3g}, {bound}")
    found: list[RenderableType] = [Text(f"{data['verdict']}: {data['because']}\n"), table, Text("")]
    found += [Text(line) for line in data["said"]]
    if not curvature.whole:
        line = f"eigenvalues by {curvature.steps} products with the Hessian; ± is how far the next true one is at most"
        found.append(Text(line))
    return found
