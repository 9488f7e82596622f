"""Backpropagation through a net of two layers, value by value and in the order of the visit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.text import Text
from torch import Tensor
from torch.nn import functional as F

from thetastar.explain.settings import chosen, offers
from thetastar.explain.showing import Shown
from thetastar.explain.tracing import as_data, figure_of, table_of
from thetastar.functional import losses
from thetastar.functional.activations import ACTIVATIONS
from thetastar.functional.differentiation import deviation, jacobians
from thetastar.functional.tape import Value, backpropagate
from thetastar.terminal import console

Array = NDArray[np.float64]
WORDS = {"activation": ("tanh", "relu", "sigmoid", "softplus"), "loss": ("cross_entropy", "squared")}
NUMBERS = {"penalty": (0.1, 0.0, 10.0)}  # default, least, largest
X: Array = np.array([[1.0, -2.0], [0.5, 1.0]])  # (batch, inputs)
Y: Array = np.array([[1.0, 0.0], [0.0, 1.0]])  # (batch, outputs): classes, or numbers to hit
PARAMETERS: dict[str, Array] = {
    "W1": np.array([[0.3, -0.2, 0.5], [0.1, 0.4, -0.3]]),  # (inputs, hidden)
    "b1": np.array([0.1, 0.0, -0.1]),
    "W2": np.array([[0.2, -0.5], [-0.4, 0.3], [0.6, 0.1]]),  # (hidden, outputs)
    "b2": np.array([0.0, 0.2]),
}


def show(arguments: list[str]) -> Shown:
    """`[activation=tanh] [loss=cross_entropy] [penalty=0.1]`, or the folder of a run of an mlp."""
    folder = arguments[0] if len(arguments) == 1 and "=" not in arguments[0] else ""
    if folder and (Path(folder).is_dir() or Path(folder).name != folder):
        from thetastar.explain import recorded  # here, for it brings all of the engine

        return recorded.show(folder)
    words, numbers = chosen("backprop", arguments, WORDS, NUMBERS)
    activation, loss, penalty = words["activation"], words["loss"], numbers["penalty"]
    leaves = {name: Value(value, name) for name, value in PARAMETERS.items()}
    risk = network(leaves, activation, loss, penalty)
    visits = backpropagate(risk)
    found = four_ways(leaves, activation, loss, penalty)
    apart = {way: deviation(values, found["automatic"]) for way, values in found.items() if way != "automatic"}
    sides = console.table("parameter", *found)
    for i, name in enumerate(entry_names()):
        sides.add_row(name, *(f"{values[i].item():+.10f}" for values in found.values()))
    said = (
        f"One batch of two through a net of two layers: z1 = X W1 + b1, a1 = {activation}(z1), z2 = a1 W2 + b2.\n"
        f"The risk R = L + {penalty:g}/2 (‖W1‖² + ‖W2‖²) is {risk.data.item():.4f}, L the mean"
        f" {'cross-entropy' if loss == 'cross_entropy' else 'squared error'}."
        " Backpropagation walks from R to the inputs; every value hands its gradient, times the local derivative, to"
        " what it was made from. A value is visited when all that used it have been.\n"
    )
    largest = ", ".join(f"{way} {value:.0e}" for way, value in apart.items())
    end = f"\nLargest deviation from the automatic gradient, relative to its largest entry: {largest}."
    end += f"\n{offers(WORDS, NUMBERS)}; or name the folder of a run of an mlp"
    parts = [
        Text(said),
        table_of(visits),
        Text("\nThe gradient of the parameters, found in four ways\n"),
        sides,
        Text(end),
    ]
    data = {
        "activation": activation,
        "loss": loss,
        "penalty": penalty,
        "visits": [as_data(value) for value in visits],
        "gradients": {way: dict(zip(entry_names(), values.tolist(), strict=True)) for way, values in found.items()},
        "deviations": apart,
    }
    label = f"Backpropagation through a net of two layers with {activation} and {loss}"
    return Shown(parts, data, figure_of(visits, label), label)


def network(leaves: dict[str, Value], activation: str, loss: str, penalty: float) -> Value:
    """R as a tape of named values."""
    x = Value(X, "X")
    z1 = ((x @ leaves["W1"]).named("u1") + leaves["b1"]).named("z1")
    a1 = getattr(z1, activation)().named("a1")
    z2 = ((a1 @ leaves["W2"]).named("u2") + leaves["b2"]).named("z2")
    if loss == "cross_entropy":
        each = (z2.log_sum_exp().named("s") - z2.inner(Y, "y").named("t")).named("ℓ")
    else:
        each = (z2 - Value(Y, "Y")).named("e").square().named("ℓ")
    mean = each.mean().named("L")
    squares = [leaves[name].square().named(f"Q{i}").sum().named(f"q{i}") for i, name in ((1, "W1"), (2, "W2"))]
    weight = (squares[0] + squares[1]).named("q").times(penalty / 2).named("P")
    return (mean + weight).named("R")


def by_hand(activation: str, loss: str, penalty: float) -> dict[str, Array]:
    """∂R/∂z2 = (softmax(z2) − Y) / n or 2 (z2 − Y) / (n · outputs);  ∂R/∂z1 = ∂R/∂z2 W2ᵀ ∘ φ′(z1)

    ∂R/∂W2 = a1ᵀ ∂R/∂z2 + λ W2,  ∂R/∂b2 = Σ_rows ∂R/∂z2;  the same with X for a1 in the first layer.
    """
    w1, b1, w2, b2 = PARAMETERS.values()
    z1 = X @ w1 + b1
    sigma = 1 / (1 + np.exp(-z1))
    a1, slope = {
        "tanh": (np.tanh(z1), 1 - np.tanh(z1) ** 2),
        "relu": (np.maximum(0, z1), (z1 > 0) * 1.0),
        "sigmoid": (sigma, sigma * (1 - sigma)),
        "softplus": (np.log1p(np.exp(z1)), sigma),
    }[activation]
    z2 = a1 @ w2 + b2
    share = np.exp(z2) / np.exp(z2).sum(1, keepdims=True)
    d2 = (share - Y) / len(X) if loss == "cross_entropy" else 2 * (z2 - Y) / Y.size
    d1 = d2 @ w2.T * slope
    return {"W1": X.T @ d1 + penalty * w1, "b1": d1.sum(0), "W2": a1.T @ d2 + penalty * w2, "b2": d2.sum(0)}


def by_torch(theta: Tensor, activation: str, loss: str, penalty: float) -> Tensor:
    """R of all parameters as one vector."""
    sizes = [value.size for value in PARAMETERS.values()]
    shapes = [value.shape for value in PARAMETERS.values()]
    w1, b1, w2, b2 = (part.view(shape) for part, shape in zip(theta.split(sizes), shapes, strict=True))
    z2 = F.linear(ACTIVATIONS[activation].value(torch.tensor(X) @ w1 + b1), w2.T, b2)
    mean = getattr(losses, loss)(z2, torch.tensor(Y)).mean()
    return mean + penalty / 2 * (w1.square().sum() + w2.square().sum())


def four_ways(leaves: dict[str, Value], activation: str, loss: str, penalty: float) -> dict[str, Tensor]:
    """The gradient of all parameters: by differences, by the formula, by our tape and by torch."""
    theta = torch.cat([torch.tensor(value).reshape(-1) for value in PARAMETERS.values()])
    both = jacobians(lambda vector: by_torch(vector, activation, loss, penalty), theta)
    hand = by_hand(activation, loss, penalty)
    return {
        "numeric": both.numeric,
        "analytic": torch.cat([torch.tensor(hand[name]).reshape(-1) for name in PARAMETERS]),
        "this graph": torch.cat([torch.tensor(leaves[name].gradient).reshape(-1) for name in PARAMETERS]),
        "automatic": both.automatic,
    }


def entry_names() -> list[str]:
    """W1[1,1], W1[1,2], …"""
    return [
        f"{name}[{','.join(str(i + 1) for i in index)}]"
        for name, value in PARAMETERS.items()
        for index in np.ndindex(value.shape)
    ]
