"""What the rules share: penalties, clipping, averages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso
from torch import Tensor
from torch.nn import Parameter

from thetastar import equation, registry
from thetastar.errors import UserError
from thetastar.protocols import Aux, Batch, Clock, Loss, Move
from thetastar.recipe import Recipe


def descend(loss: Loss, parameters: dict[str, Parameter], steps: int, **spec: Any) -> tuple[Any, Any]:
    algorithm = registry.build("algorithms", {"name": "sgd", "momentum": 0.0, "schedule": None, **spec})
    move = Move("loss", parameters)
    state = algorithm.init(move)
    for step in range(steps):
        algorithm.update(move, loss, [{}], state, Clock(0, step, steps))
    return algorithm, state


@pytest.mark.shows("O9")
def test_the_proximal_step_ends_in_the_lasso() -> None:
    """Against scikit-learn's coordinate descent: the same weights, the same exact zeros."""
    draws = np.random.default_rng(1)
    x = draws.normal(size=(60, 12))
    y = x[:, :3] @ np.array([2.0, -1.0, 0.5]) + 0.1 * draws.normal(size=60)
    weight = Parameter(torch.zeros(1, 12, dtype=torch.float64))

    def loss(batch: Batch, part: int) -> tuple[Tensor, Aux]:
        return 0.5 * (torch.tensor(x) @ weight[0] - torch.tensor(y)).square().mean(), Aux()

    descend(loss, {"f.weight": weight}, 400, lr=0.3, l1=0.1)
    reference = Lasso(alpha=0.1, fit_intercept=False, tol=1e-10).fit(x, y).coef_
    np.testing.assert_allclose(weight.detach().numpy()[0], reference, atol=1e-6)
    assert (weight[0] == 0).numpy().tolist() == (reference == 0).tolist()
    assert 3 <= (reference == 0).sum() < 12


@pytest.mark.shows("O9")
@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_the_proximal_step_gives_exact_zeros_where_a_penalty_gives_none(name: str) -> None:
    base = {"data": "bars", "model": {"name": "mlp", "widths": [16]}, "budget": {"steps": 60}, "seed": 0}
    zeros: dict[str, float] = {}
    for kind, algorithm, method in (
        ("proximal", {"l1": 0.2}, "supervised"),
        ("penalty", {}, {"name": "penalised", "l1": 0.2}),
    ):
        recipe = Recipe(**base, algorithm={"name": name, "lr": 0.02, **algorithm}, method=method)
        weight = next(p for p in equation.fit(recipe).program.f.parameters() if p.ndim == 2)
        zeros[kind] = (weight == 0).float().mean().item()
    assert zeros["proximal"] > 0.2, zeros
    assert zeros["penalty"] < 0.01, zeros


def test_vectors_are_spared_by_the_proximal_step() -> None:
    parameters = {"f.w": Parameter(torch.full((2, 2), 0.5)), "f.b": Parameter(torch.full((2,), 0.5))}

    def loss(batch: Batch, part: int) -> tuple[Tensor, Aux]:
        return sum((0.0 * p).sum() for p in parameters.values()), Aux()  # type: ignore[return-value]

    descend(loss, parameters, 3, lr=1.0, l1=0.1)
    torch.testing.assert_close(parameters["f.w"].detach(), torch.full((2, 2), 0.2))
    assert torch.equal(parameters["f.b"], torch.full((2,), 0.5))


@pytest.mark.shows("O4")
def test_clipping_by_value_and_by_norm() -> None:
    slope = torch.tensor([3.0, -0.5, 4.0])
    for spec, expected in (
        ({"clip_value": 1.0}, torch.tensor([1.0, -0.5, 1.0])),
        ({"clip": 1.0}, slope / slope.norm()),
        ({"clip": 100.0}, slope),
        ({"clip": 1.0, "clip_value": 0.5}, (slope / slope.norm()).clamp(-0.5, 0.5)),
    ):
        x = Parameter(torch.zeros(3))
        descend(lambda b, p, x=x: ((x * slope).sum(), Aux()), {"f.x": x}, 1, lr=1.0, **spec)
        torch.testing.assert_close(-x.detach(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.shows("O9")
def test_swa_is_the_mean_of_the_weights_after_its_start() -> None:
    x, path = Parameter(torch.zeros(2)), []

    def loss(batch: Batch, part: int) -> tuple[Tensor, Aux]:
        path.append(x.detach().clone())
        return ((x - 1.0) ** 2).sum(), Aux()

    algorithm, state = descend(loss, {"f.x": x}, 10, lr=0.2, swa=0.6)
    path = [*path[1:], x.detach()]  # θ after each step
    torch.testing.assert_close(algorithm.weights(state)["f.x"], torch.stack(path[6:]).mean(0))


def test_swa_is_not_there_before_its_start() -> None:
    x = Parameter(torch.zeros(2))
    algorithm = registry.build("algorithms", {"name": "sgd", "swa": 0.9})
    move = Move("loss", {"f.x": x})
    state = algorithm.init(move)
    algorithm.update(move, lambda b, p: (x.sum(), Aux()), [{}], state, Clock(0, 0, 100))
    assert algorithm.weights(state) == {}


@pytest.mark.shows("O9")
def test_averages_find_the_valley_that_noisy_steps_bounce_over() -> None:
    """On a noisy quadratic at a constant rate the average is nearer to the minimum, on 20 paired draws."""
    live, averaged = [], []
    for seed in range(20):
        noise = torch.randn(200, 4, generator=torch.Generator().manual_seed(seed))
        x, count = Parameter(torch.full((4,), 3.0)), iter(range(200))

        def loss(
            batch: Batch, part: int, x: Parameter = x, count: Any = count, noise: Tensor = noise
        ) -> tuple[Tensor, Aux]:
            return 0.5 * x.square().sum() + (x * noise[next(count)]).sum(), Aux()

        algorithm, state = descend(loss, {"f.x": x}, 200, lr=0.3, swa=0.5)
        live.append(x.norm().item())
        averaged.append(algorithm.weights(state)["f.x"].norm().item())
    assert sum(a < b for a, b in zip(averaged, live, strict=True)) >= 18


def test_two_averages_are_refused() -> None:
    with pytest.raises(UserError, match=r"one kind of average"):
        registry.build("algorithms", {"name": "sgd", "swa": 0.5, "ema": 0.9})
