"""Backpropagation through a net that was trained, on rows that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.text import Text
from torch import Tensor, nn

from thetastar import star
from thetastar.errors import UserError
from thetastar.explain.risk import Risk, risk_of
from thetastar.explain.showing import Shown
from thetastar.explain.tracing import as_data, figure_of, table_of
from thetastar.functional.curvature import flat, write
from thetastar.functional.differentiation import deviation, step_sizes
from thetastar.functional.tape import Value, backpropagate
from thetastar.layers.activation import Elementwise
from thetastar.layers.dropout import Dropout
from thetastar.methods.supervised import supervised
from thetastar.models.mlp import mlp
from thetastar.terminal import console
from thetastar.terminal.training import single

ROWS = 3  # of the batch
KNOWN = ("relu", "tanh", "sigmoid", "softplus")  # activations of the tape
WHOLE = 2000  # numbers of a net whose JSON has all of them


@dataclass(frozen=True)
class Recorded:
    """The loss as the end of a tape, its parameters under their names in the net, and the risk in torch."""

    end: Value
    parameters: dict[str, Value]
    risk: Risk


def show(folder: str) -> Shown:
    """A run of an mlp: the trace on its first rows, and its gradient beside torch's and beside differences."""
    recorded = on_tape(risk_of(star.load(single(Path(folder))), ROWS, exact=True))
    risk, end = recorded.risk, recorded.end
    visits = backpropagate(end)
    automatic = dict(zip(risk.move.parameters, parts_of(risk, risk.gradient()), strict=True))
    ways = ("numeric", "this graph", "automatic")
    sides = console.table("parameter", "shape", "norm of its gradient", "largest entry", *ways)
    apart: dict[str, float] = {}
    for name, value in recorded.parameters.items():
        ours = torch.tensor(value.gradient)
        theirs = automatic[name].T if automatic[name].ndim == 2 else automatic[name]
        place = tuple(map(int, np.unravel_index(int(theirs.abs().argmax()), theirs.shape)))
        numeric = slope_at(risk, name, place[::-1])  # torch keeps W as (outputs, inputs)
        index = f"{value.name}[{','.join(str(i + 1) for i in place)}]"
        numbers = (f"{entry:+.10f}" for entry in (numeric, ours[place].item(), theirs[place].item()))
        shape = " × ".join(map(str, theirs.shape))
        sides.add_row(value.name, shape, f"{ours.norm().item():.4g}", index, *numbers)
        apart[name] = deviation(ours, theirs)
    said = (
        f"{folder} on {ROWS} rows of its training split: the loss L is {end.data.item():.6f}. A value is visited when"
        " all that used it have been; of large matrices the first entries are shown.\n"
    )
    label = f"Backpropagation through {folder}"
    largest = f"\nLargest deviation from torch's gradient, relative to its largest entry: {max(apart.values()):.0e}."
    parts = [Text(said), table_of(visits), Text("\nThe gradient of the parameters\n"), sides, Text(largest)]
    data = {"run": folder, "loss": end.data.item(), "deviations": apart}
    if sum(value.data.size for value in visits) <= WHOLE:
        data["visits"] = [as_data(value) for value in visits]
    return Shown(parts, data, figure_of(visits, label), label)


def on_tape(risk: Risk) -> Recorded:
    """z_k = a_{k−1} W_k + b_k, a_k = φ(z_k), and the mean cross-entropy of the last z."""
    f, method, batch = risk.program.f, risk.program.method, risk.parts[0]
    plain = isinstance(method, supervised) and method.loss_name == "cross_entropy" and not method.smoothing
    if not isinstance(f, mlp) or not plain or method.weights is not None:
        got = f"backprop through {type(f).__name__} with {type(method).__name__}"
        raise UserError(got, "a run of mlp with plain cross-entropy", "choose another run")
    names = {id(parameter): name for name, parameter in risk.move.parameters.items()}
    value = Value(f.standardise(batch["input"]).flatten(1).numpy(), "X")
    found: dict[str, Value] = {}
    layer = 0
    for module in [*f.hidden, f.head]:
        if isinstance(module, nn.Linear):
            layer += 1
            weight = found[names[id(module.weight)]] = Value(module.weight.detach().T.numpy(), f"W{layer}")
            bias = found[names[id(module.bias)]] = Value(module.bias.detach().numpy(), f"b{layer}")
            value = ((value @ weight).named(f"u{layer}") + bias).named(f"z{layer}")
        elif isinstance(module, Elementwise) and module.name in KNOWN:
            value = getattr(value, module.name)().named(f"a{layer}")
        elif not isinstance(module, Dropout) and getattr(module, "name", "") != "identity":
            got = getattr(module, "name", type(module).__name__)
            raise UserError(f"backprop through {got}", f"linear layers with {', '.join(KNOWN)}", "choose another run")
    target = batch["target"]
    shares = target if target.ndim == 2 else nn.functional.one_hot(target, value.data.shape[1])
    each = value.log_sum_exp().named("s") - value.inner(shares.double().numpy(), "y").named("t")
    return Recorded(each.named("ℓ").mean().named("L"), found, risk)


def parts_of(risk: Risk, vector: Tensor) -> list[Tensor]:
    """A vector over all weights as one tensor a parameter."""
    parts = vector.split([weight.numel() for weight in risk.weights])
    return [part.view(weight.shape) for part, weight in zip(parts, risk.weights, strict=True)]


def slope_at(risk: Risk, name: str, place: tuple[int, ...]) -> float:
    """∂L/∂θ_i of one entry, by central differences."""
    here = flat(risk.weights)
    marks = [torch.zeros_like(weight) for weight in risk.weights]
    marks[list(risk.move.parameters).index(name)][place] = 1
    way = torch.cat([mark.reshape(-1) for mark in marks])
    step = way * step_sizes(here)
    write(risk.weights, here + step)
    above = risk.value()
    write(risk.weights, here - step)
    below = risk.value()
    write(risk.weights, here)
    return (above - below) / (2 * step.sum().item())
