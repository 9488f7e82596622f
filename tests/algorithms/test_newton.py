"""Newton's method: the exact Hessian, one step on a quadratic, away from saddles, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import Parameter

from thetastar import equation, registry
from thetastar.defaults import open_for
from thetastar.errors import UserError
from thetastar.functional.curvature import gradient_and_hessian, vector_product
from thetastar.protocols import Aux, Clock, Move
from thetastar.recipe import Recipe


def step(function: Callable[[Tensor], Tensor], start: Tensor, steps: int = 1, **arguments: Any) -> tuple[Tensor, Aux]:
    x = Parameter(start.clone())
    move, rule = Move("loss", {"x": x}), registry.build("algorithms", {"name": "newton", **arguments})
    state, aux = rule.init(move), Aux()
    for k in range(steps):
        aux = rule.update(move, lambda batch, part: (function(x), Aux()), [{"input": x}], state, Clock(0, k))
    return x.detach(), aux


@pytest.mark.shows("O2")
def test_one_undamped_step_solves_a_quadratic() -> None:
    draws = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=draws, dtype=torch.float64)
    a, b = root @ root.T + 0.1 * torch.eye(6, dtype=torch.float64), torch.randn(6, generator=draws, dtype=torch.float64)
    x, aux = step(lambda x: 0.5 * x @ a @ x - b @ x, torch.zeros(6, dtype=torch.float64), damping=0.0)
    torch.testing.assert_close(x, torch.linalg.solve(a, b), atol=1e-9, rtol=1e-9)
    assert aux.log["step_size"] == 1.0


@pytest.mark.shows("O2")
def test_damping_is_the_step_along_the_gradient_in_the_limit() -> None:
    a = torch.diag(torch.tensor([1.0, 10.0], dtype=torch.float64))
    start = torch.tensor([1.0, 1.0], dtype=torch.float64)
    x, _ = step(lambda x: 0.5 * x @ a @ x, start, damping=1e6)
    torch.testing.assert_close((start - x) * 1e6, a @ start, rtol=1e-4, atol=1e-4)


def test_it_leaves_a_saddle_that_the_plain_step_runs_into() -> None:
    """f = x² − y² + y⁴/4 from beside its saddle: minima at y = ±√2."""

    def f(x: Tensor) -> Tensor:
        return x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 4

    start = torch.tensor([1.0, 0.1], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(f, start)
    gradient = torch.autograd.functional.jacobian(f, start)
    plain = start - torch.linalg.solve(hessian, gradient)
    assert plain.norm() < 0.01, "the plain step goes to the saddle at 0"
    found, _ = step(f, start, steps=20, damping=0.0)
    torch.testing.assert_close(found.abs(), torch.tensor([0.0, 2**0.5], dtype=torch.float64), atol=1e-6, rtol=0)


def test_the_hessian_is_torchs() -> None:
    x = Parameter(torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64))

    def f(x: Tensor) -> Tensor:
        return (x.sin() * x.roll(1)).sum() + x.prod() ** 2

    gradient, hessian = gradient_and_hessian(lambda b, p: (f(x), Aux()), [{"input": x}], [x])
    torch.testing.assert_close(hessian, torch.autograd.functional.hessian(f, x.detach()))
    torch.testing.assert_close(gradient, torch.autograd.functional.jacobian(f, x.detach()))
    _, product = vector_product(f(x), [x])
    torch.testing.assert_close(product(torch.eye(3, dtype=torch.float64)), hessian)


@pytest.mark.shows("O2")
@pytest.mark.parametrize("name", ["newton", "lbfgs"])
def test_logistic_regression_ends_where_scikit_learn_ends(name: str) -> None:
    recipe = Recipe(
        data={"name": "iris", "valid": 0.0, "batch_size": "all"},
        model="softmax",
        algorithm={"name": name, "weight_decay": 0.05, **({"damping": 1e-6} if name == "newton" else {})},
        budget={"steps": 8 if name == "newton" else 80},
        engine={"precision": "float32"},
    )
    outcome = equation.fit(recipe)
    batch = outcome.stream.examples("train")  # type: ignore[attr-defined]
    x, y = batch["input"].numpy(), batch["target"].numpy()
    field = outcome.stream.schema.input
    scaled = (x - torch.tensor(field.mean).numpy()) / torch.tensor(field.std).numpy()  # type: ignore[union-attr]
    reference = LogisticRegression(C=1 / (0.05 * len(x)), tol=1e-10, max_iter=5000).fit(scaled, y)
    with torch.no_grad():
        ours = torch.softmax(outcome.program.f(batch["input"]), 1)
    torch.testing.assert_close(ours, torch.tensor(reference.predict_proba(scaled)).float(), atol=2e-3, rtol=0)


def test_too_large_a_model_is_refused_with_the_memory_it_would_need() -> None:
    recipe = Recipe(data="digits", model="mlp", algorithm="newton", budget={"steps": 1})
    with pytest.raises(UserError, match=r"newton on 167,178 parameters: the Hessian alone needs 20\d\.\d GiB"):
        equation.fit(recipe)


def test_it_asks_for_the_whole_split_in_float32() -> None:
    recipe = Recipe(data="iris", model="softmax", algorithm="newton", budget={"steps": 2})
    stream = open_for(recipe)
    assert stream.length("train") == 1
    outcome = equation.fit(recipe, stream=stream)
    assert outcome.facts["precision"] == "float32"


def test_a_non_finite_loss_is_not_stepped() -> None:
    x, aux = step(lambda x: (x * float("inf")).sum(), torch.ones(2))
    assert torch.equal(x, torch.ones(2))
    assert not aux.finite
