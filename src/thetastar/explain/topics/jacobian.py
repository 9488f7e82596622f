"""The Jacobian of a function or a model: by differences, by the chain rule and, where known, in closed form."""

from __future__ import annotations

import torch
from rich.console import RenderableType
from rich.text import Text
from torch import Tensor

from thetastar import registry
from thetastar.errors import UserError, nearest
from thetastar.explain.settings import row
from thetastar.explain.showing import Shown
from thetastar.functional.activations import ACTIVATIONS, softmax, softmax_jacobian
from thetastar.functional.differentiation import Function, deviation, jacobians
from thetastar.protocols import Field, Schema

PLACE = "1,2,-0.5"
APART = 1e-6  # relative; smooth functions stay far below it
MOST = 8  # entries of x: the matrix must fit on a screen


def show(arguments: list[str]) -> Shown:
    """`[softmax | log_softmax | normalise | an activation | a model] [1,2,-0.5]`."""
    if len(arguments) > 2:
        raise UserError(f"jacobian with {len(arguments)} words", "a function and a place", "leave the rest out")
    name = arguments[0] if arguments else "softmax"
    x = torch.tensor(row("jacobian", arguments[1] if len(arguments) > 1 else PLACE, MOST), dtype=torch.float64)
    function, closed, words = subject(name, x)
    value = function(x)
    both = jacobians(function, x)
    if not both.automatic.isfinite().all() or not both.numeric.isfinite().all():
        raise UserError(f"{name} has no derivative at {arguments[-1]}", "a place where it has one", "choose another")
    parts: list[RenderableType] = [
        Text(f"f = {name}{words}, x = ({', '.join(f'{v:g}' for v in x.tolist())})"),
        Text(f"f(x) = ({', '.join(signed(v) for v in value.tolist())})\n"),
        Text("∂f_i/∂x_j, a row for every f_i\n"),
        Text(f"by central differences, {2 * len(x)} evaluations of f\n{grid(both.numeric)}\n"),
        Text(f"automatic, {len(value)} passes backwards\n{grid(both.automatic)}\n"),
    ]
    data = {
        "function": name,
        "x": x.tolist(),
        "value": value.tolist(),
        "numeric": both.numeric.tolist(),
        "automatic": both.automatic.tolist(),
        "deviations": {"numeric": both.deviation},
    }
    said = f"Largest deviation from the automatic one, relative to its largest entry: numeric {both.deviation:.0e}"
    if closed is not None:
        data["analytic"] = closed.tolist()
        data["deviations"] |= {"analytic": deviation(closed, both.automatic)}
        parts.append(Text(f"in closed form\n{grid(closed)}\n"))
        said += f", closed form {data['deviations']['analytic']:.0e}"
    if both.deviation > APART:
        said += ". They disagree: the function has a kink at x"
    said += ".\nTo change: softmax, log_softmax, normalise, an activation or a model, and a place such as 3,4"
    return Shown([*parts, Text(said)], data)


def subject(name: str, x: Tensor) -> tuple[Function, Tensor | None, str]:
    """The function, its Jacobian at x in closed form where there is one, and what that is in words."""
    if name == "softmax":
        return softmax, softmax_jacobian(x), ", ∂f/∂x = diag(p) − p pᵀ"
    if name == "log_softmax":
        return (lambda z: z.log_softmax(-1)), torch.eye(len(x)).double() - softmax(x), ", ∂f_i/∂x_j = 1[i = j] − p_j"
    if name == "normalise":
        unit = x / x.norm()
        closed = (torch.eye(len(x)).double() - unit[:, None] * unit) / x.norm()
        return (lambda z: z / z.norm()), closed, ", f = x / ‖x‖, ∂f/∂x = (I − f fᵀ) / ‖x‖"
    if name in ACTIVATIONS:
        known = ACTIVATIONS[name]
        return known.value, torch.diag(known.derivative(x)), ", ∂f/∂x = diag(φ′(x))"
    models = registry.entries("models")
    if name not in models:
        functions = ["softmax", "log_softmax", "normalise", *ACTIVATIONS]
        hint = nearest(name, [*functions, *models])
        raise UserError(f"jacobian of '{name}'", f"one of {', '.join(functions)}, or a model", hint)
    return of_model(name, len(x)), None, f", a model of {len(x)} numbers and two classes as it is initialised (seed 0)"


def of_model(name: str, inputs: int) -> Function:
    """x ↦ the logits of one example."""
    schema = Schema(Field("vector", (inputs,)), Field("category", (), classes=2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = registry.build("models", name, schema)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"jacobian of '{name}'", "a model with derivatives", "try mlp")
    model = model.double().eval()
    return lambda x: model(x[None])[0]


def signed(value: float) -> str:
    return f"{value + 0.0:.6f}".replace("-", "−")


def grid(matrix: Tensor) -> str:
    return "\n".join("  " + "  ".join(f"{signed(value):>9}" for value in line) for line in matrix.tolist())
