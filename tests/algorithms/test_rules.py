"""Every update rule against its textbook formula in NumPy, twenty steps on a problem with curvature and noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Parameter

from thetastar import registry
from thetastar.protocols import Aux, Batch, Clock, Move

Array = NDArray[np.float64]
Grads = Callable[[int, list[Array]], list[Array]]
STEPS, LR = 20, 0.05

draws = np.random.default_rng(0)
START = [draws.normal(size=(4, 3)), draws.normal(size=4)]  # a matrix and a bias
INPUTS = draws.normal(size=(STEPS, 8, 3)) * np.array([3.0, 1.0, 0.2])  # badly scaled, another batch each step
TARGETS = draws.normal(size=(STEPS, 8, 4))


def gradient(step: int, theta: list[Array]) -> list[Array]:
    """Of the mean over the batch of Σ log cosh(Wx + b − y), by hand."""
    weight, bias = theta
    slope = np.tanh(INPUTS[step] @ weight.T + bias - TARGETS[step]) / 8  # (8, 4)
    return [slope.T @ INPUTS[step], slope.sum(0)]


def ours(spec: dict[str, Any]) -> list[list[Array]]:
    """θ after each step of the algorithm, in float64."""
    parameters = {n: Parameter(torch.tensor(v)) for n, v in zip(("f.body.weight", "f.body.bias"), START, strict=True)}
    move = Move("loss", parameters)
    algorithm = registry.build("algorithms", {"schedule": None, **spec})
    state, path = algorithm.init(move), []
    for step in range(STEPS):

        def loss(batch: Batch, part: int, step: int = step) -> tuple[Tensor, Aux]:
            weight, bias = parameters.values()
            error = torch.tensor(INPUTS[step]) @ weight.T + bias - torch.tensor(TARGETS[step])
            return torch.log(torch.cosh(error)).sum() / 8, Aux()

        algorithm.update(move, loss, [{}], state, Clock(0, step, STEPS))
        path.append([p.detach().numpy().copy() for p in parameters.values()])
    return path


def sgd(momentum: float, nesterov: bool, decay: float) -> Iterator[list[Array]]:
    theta, v = [p.copy() for p in START], [np.zeros_like(p) for p in START]
    for step in range(STEPS):
        for i, g in enumerate(gradient(step, theta)):
            g = g + (decay * theta[i] if theta[i].ndim == 2 else 0)
            v[i] = momentum * v[i] + g
            theta[i] = theta[i] - LR * (g + momentum * v[i] if nesterov else v[i])
        yield theta


def adagrad(decay: float) -> Iterator[list[Array]]:
    theta, s = [p.copy() for p in START], [np.zeros_like(p) for p in START]
    for step in range(STEPS):
        for i, g in enumerate(gradient(step, theta)):
            g = g + (decay * theta[i] if theta[i].ndim == 2 else 0)
            s[i] = s[i] + g**2
            theta[i] = theta[i] - LR * g / (np.sqrt(s[i]) + 1e-10)
        yield theta


def adadelta(rho: float) -> Iterator[list[Array]]:
    theta, s, u = [p.copy() for p in START], [np.zeros_like(p) for p in START], [np.zeros_like(p) for p in START]
    for step in range(STEPS):
        for i, g in enumerate(gradient(step, theta)):
            s[i] = rho * s[i] + (1 - rho) * g**2
            change = g * np.sqrt(u[i] + 1e-6) / np.sqrt(s[i] + 1e-6)
            u[i] = rho * u[i] + (1 - rho) * change**2
            theta[i] = theta[i] - LR * change
        yield theta


def rmsprop(alpha: float, momentum: float) -> Iterator[list[Array]]:
    theta, s, v = [p.copy() for p in START], [np.zeros_like(p) for p in START], [np.zeros_like(p) for p in START]
    for step in range(STEPS):
        for i, g in enumerate(gradient(step, theta)):
            s[i] = alpha * s[i] + (1 - alpha) * g**2
            v[i] = momentum * v[i] + g / (np.sqrt(s[i]) + 1e-8)
            theta[i] = theta[i] - LR * v[i]
        yield theta


def adam(decay: float, decoupled: bool) -> Iterator[list[Array]]:
    theta, m, v = [p.copy() for p in START], [np.zeros_like(p) for p in START], [np.zeros_like(p) for p in START]
    for step in range(STEPS):
        for i, g in enumerate(gradient(step, theta)):
            rate = decay if theta[i].ndim == 2 else 0.0
            g = g if decoupled else g + rate * theta[i]
            m[i], v[i] = 0.9 * m[i] + 0.1 * g, 0.999 * v[i] + 0.001 * g**2
            mean, square = m[i] / (1 - 0.9 ** (step + 1)), v[i] / (1 - 0.999 ** (step + 1))
            shrunk = theta[i] * (1 - LR * rate) if decoupled else theta[i]
            theta[i] = shrunk - LR * mean / (np.sqrt(square) + 1e-8)
        yield theta


def muon(momentum: float, decay: float) -> Iterator[list[Array]]:
    """The matrix by momentum and the quintic iteration on its singular values; the bias by Adam."""
    theta, mean = [p.copy() for p in START], np.zeros_like(START[0])
    m, v = np.zeros_like(START[1]), np.zeros_like(START[1])
    for step in range(STEPS):
        grad, bias_grad = gradient(step, theta)
        mean = momentum * mean + grad
        left, values, right = np.linalg.svd(grad + momentum * mean, full_matrices=False)
        values = values / np.sqrt((values**2).sum())
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        matrix = theta[0] * (1 - LR * decay) - LR * 0.2 * 2.0 * (left * values) @ right
        m, v = 0.9 * m + 0.1 * bias_grad, 0.999 * v + 0.001 * bias_grad**2
        hat, square = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
        theta = [matrix, theta[1] - LR * hat / (np.sqrt(square) + 1e-8)]
        yield theta


def lars(momentum: float, decay: float, trust: float) -> Iterator[list[Array]]:
    """The matrix by its trust ratio, the bias by plain momentum."""
    theta, v = [p.copy() for p in START], [np.zeros_like(p) for p in START]
    for step in range(STEPS):
        for i, g in enumerate(gradient(step, theta)):
            size, slope = np.sqrt((theta[i] ** 2).sum()), np.sqrt((g**2).sum())
            matrix = theta[i].ndim == 2
            local = trust * size / (slope + decay * size) if matrix else 1.0
            v[i] = momentum * v[i] + LR * local * (g + (decay * theta[i] if matrix else 0.0))
            theta[i] = theta[i] - v[i]
        yield theta


RULES: dict[str, tuple[dict[str, Any], Callable[[], Iterator[list[Array]]]]] = {
    "gradient descent": ({"name": "sgd", "momentum": 0.0}, lambda: sgd(0.0, False, 0.0)),
    "momentum": ({"name": "sgd", "momentum": 0.9, "weight_decay": 0.1}, lambda: sgd(0.9, False, 0.1)),
    "nesterov": ({"name": "sgd", "momentum": 0.9, "nesterov": True}, lambda: sgd(0.9, True, 0.0)),
    "adagrad": ({"name": "adagrad", "weight_decay": 0.1}, lambda: adagrad(0.1)),
    "adadelta": ({"name": "adadelta", "rho": 0.8}, lambda: adadelta(0.8)),
    "rmsprop": ({"name": "rmsprop", "alpha": 0.9, "momentum": 0.5}, lambda: rmsprop(0.9, 0.5)),
    "adam": ({"name": "adam", "weight_decay": 0.1}, lambda: adam(0.1, False)),
    "adamw": ({"name": "adamw", "weight_decay": 0.1}, lambda: adam(0.1, True)),
    "lars": ({"name": "lars", "momentum": 0.8, "weight_decay": 0.1, "trust": 0.2}, lambda: lars(0.8, 0.1, 0.2)),
    "muon": ({"name": "muon", "momentum": 0.8, "weight_decay": 0.1}, lambda: muon(0.8, 0.1)),
}


@pytest.mark.shows("O1")
@pytest.mark.parametrize("name", RULES)
def test_twenty_steps_equal_the_textbook_formula(name: str) -> None:
    spec, formula = RULES[name]
    for step, (here, there) in enumerate(zip(ours({**spec, "lr": LR}), formula(), strict=True)):
        for mine, theirs in zip(here, there, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-8, err_msg=f"step {step}")


def test_the_rules_differ() -> None:
    ends = {
        name: np.concatenate([p.ravel() for p in ours({**spec, "lr": LR})[-1]]) for name, (spec, _) in RULES.items()
    }
    names = list(ends)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert np.abs(ends[first] - ends[second]).max() > 1e-4, (first, second)


def test_no_decay_on_vectors() -> None:
    """A bias without a gradient stays where it is, a matrix without one shrinks."""
    for name in ("sgd", "adam", "adamw", "adagrad", "adadelta", "rmsprop", "muon", "lars"):
        parameters = {"f.w": Parameter(torch.ones(2, 2)), "f.b": Parameter(torch.ones(2))}
        algorithm = registry.build("algorithms", {"name": name, "weight_decay": 0.5, "schedule": None})
        move = Move("loss", parameters)

        def loss(batch: Batch, part: int, parameters: dict[str, Parameter] = parameters) -> tuple[Tensor, Aux]:
            return sum((0.0 * p).sum() for p in parameters.values()), Aux()  # type: ignore[return-value]

        algorithm.update(move, loss, [{}], algorithm.init(move), Clock(0, 0, 1))
        assert torch.equal(parameters["f.b"], torch.ones(2)), name
        assert (parameters["f.w"] < 1).all(), name
