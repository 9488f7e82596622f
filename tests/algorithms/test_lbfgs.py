"""L-BFGS: the line search keeps its conditions, convex problems are solved to their known solutions."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import Parameter

from thetastar import equation, resume
from thetastar.algorithms.lbfgs import lbfgs, newton, strong_wolfe
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.protocols import Aux, Clock, Move
from thetastar.recipe import Recipe
from thetastar.snapshot import load_checkpoint, save_checkpoint
from thetastar.watch import Watch

WHOLE = {"batch_size": 100_000, "valid": 0.0, "test": 0.0}


def minimise(
    function: Callable[[Tensor], Tensor], start: Tensor, steps: int, **arguments: Any
) -> tuple[Tensor, list[Aux]]:
    """Steps of the algorithm on a function of one tensor."""
    x = Parameter(start.clone())
    move, rule = Move("loss", {"x": x}), lbfgs()
    state = rule.init(move)
    said = [rule.update(move, lambda batch, part: (function(x), Aux()), [{}], state, Clock(0, k)) for k in range(steps)]
    return x.detach(), said


def fitted(recipe: Recipe) -> tuple[equation.Outcome, Any]:
    stream = open_stream(recipe.data)
    return equation.fit(recipe, stream=stream), stream.sample("train", stream.size("train"))


# --- the parts ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 100), st.floats(-0.9, 0.9), st.floats(1e-3, 1e3))
def test_the_line_search_keeps_both_wolfe_conditions(width: float, wave: float, first: float) -> None:
    """On a bowl with waves, from lengths far too short and far too long."""

    def phi(t: float) -> tuple[float, float]:
        u = t / width
        return (u - 1) ** 2 + wave * math.cos(3 * u) / 3, (2 * (u - 1) - wave * math.sin(3 * u)) / width

    value, slope = phi(0.0)
    t = strong_wolfe(phi, value, slope, first, 60)
    there, slope_there = phi(t)
    assert there <= value + 1e-4 * t * slope
    assert abs(slope_there) <= -0.9 * slope + 1e-12


def test_a_wall_of_nan_is_too_high() -> None:
    def phi(t: float) -> tuple[float, float]:
        return (t - 0.3) ** 2 if t < 0.5 else math.nan, 2 * (t - 0.3)

    t = strong_wolfe(phi, *phi(0.0), 1.0, 20)
    assert 0 < t < 0.5
    assert strong_wolfe(lambda _: (math.nan, math.nan), 1.0, -1.0, 1.0, 20) == 0.0


def test_two_loops_are_the_dense_bfgs_update() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    hessian = root @ root.T + torch.eye(5)
    pairs = [(s, hessian @ s) for s in torch.randn(3, 5, generator=generator, dtype=torch.float64)]
    inverse = torch.eye(5, dtype=torch.float64) * (pairs[-1][0] @ pairs[-1][1]) / (pairs[-1][1] @ pairs[-1][1])
    for s, y in pairs:
        rho = 1 / (s @ y)
        left = torch.eye(5) - rho * torch.outer(s, y)
        inverse = left @ inverse @ left.T + rho * torch.outer(s, s)
    gradient = torch.randn(5, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(newton(gradient, pairs), inverse @ gradient)


# --- known solutions ------------------------------------------------------------------------------------------------


def bowl(x: Tensor) -> Tensor:
    """A quadratic whose curvatures span three orders, least at the numbers from −1 to 1."""
    scales, goal = torch.logspace(0, 3, 20, dtype=x.dtype), torch.linspace(-1, 1, 20, dtype=x.dtype)
    return (scales * (x - goal).square()).sum()


def test_a_badly_scaled_quadratic_is_solved() -> None:
    x, _ = minimise(bowl, torch.zeros(20, dtype=torch.float64), 200)
    assert (x - torch.linspace(-1, 1, 20, dtype=torch.float64)).abs().max() < 1e-6


def test_it_goes_the_way_of_torch() -> None:
    mine, _ = minimise(bowl, torch.zeros(20, dtype=torch.float64), 30)
    x = Parameter(torch.zeros(20, dtype=torch.float64))
    theirs = torch.optim.LBFGS([x], max_iter=30, history_size=10, line_search_fn="strong_wolfe", max_eval=1000)

    def closure() -> Tensor:
        theirs.zero_grad()
        value = bowl(x)
        value.backward()
        return value

    theirs.step(closure)  # type: ignore[arg-type]
    torch.testing.assert_close(mine, x.detach(), atol=1e-5, rtol=0)


def test_rosenbrock_descends_at_every_step_to_its_minimum() -> None:
    def valley(x: Tensor) -> Tensor:
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    x, said = minimise(valley, torch.tensor([-1.2, 1.0], dtype=torch.float64), 45)
    values = [aux.log["loss"].item() for aux in said]
    assert all(after <= before for before, after in pairwise(values))
    assert (x - 1).abs().max() < 1e-6


def test_ridge_regression_is_its_closed_form() -> None:
    decay = 0.3
    recipe = Recipe(
        data={"name": "diabetes", **WHOLE},
        model={"name": "mlp", "widths": []},
        method="supervised",
        algorithm={"name": "lbfgs", "weight_decay": decay},
        budget={"steps": 25},
    )
    outcome, batch = fitted(recipe)
    x, y = batch["input"].double().numpy(), batch["target"].double().numpy()
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    closed = np.linalg.solve(2 * x.T @ x / len(x) + decay * np.eye(x.shape[1]), 2 * x.T @ y / len(x))
    linear = outcome.program.f.head[0]
    np.testing.assert_allclose(linear.weight.detach().numpy()[0], closed, atol=1e-5)
    assert abs(linear.bias.item()) < 1e-5


def test_softmax_regression_is_scikit_learns() -> None:
    decay = 0.01
    recipe = Recipe(
        data={"name": "iris", **WHOLE},
        model={"name": "mlp", "widths": []},
        method="supervised",
        algorithm={"name": "lbfgs", "weight_decay": decay},
        budget={"steps": 60},
    )
    outcome, batch = fitted(recipe)
    x, y = batch["input"].double().numpy(), batch["target"].numpy()
    scaled = (x - x.mean(0)) / x.std(0)
    reference = LogisticRegression(C=1 / (decay * len(x)), tol=1e-10, max_iter=1000).fit(scaled, y)
    with torch.no_grad():
        mine = torch.softmax(outcome.program.f(batch["input"]), -1).numpy()
    np.testing.assert_allclose(mine, reference.predict_proba(scaled), atol=2e-4)


# --- in the engine --------------------------------------------------------------------------------------------------


def recipe_of(**changes: Any) -> Recipe:
    model = {"name": "mlp", "widths": [12], "norm": "batch", "dropout": 0.1}
    data = {"name": "bars", "rows": 120, **WHOLE}
    budget, engine = {"steps": 12}, {"precision": "float32"}
    return Recipe(
        data=data, model=model, method="supervised", algorithm="lbfgs", budget=budget, engine=engine, seed=2
    ).replace(**changes)


def test_the_line_search_leaves_batch_norm_alone() -> None:
    program = fitted(recipe_of())[0].program
    assert program.f.hidden[1].num_batches_tracked.item() == 12


def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    stream = open_stream(recipe_of().data)
    recipe = completed(recipe_of(), stream)

    def started() -> equation.Training:
        training = equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())
        training.begin()
        return training

    def run(training: equation.Training, to: int) -> None:
        while training.step < to:
            training.one_step([next(stream.batches("train", Clock(2, training.step, 12, training.step)))])

    whole, part, again = started(), started(), started()
    run(whole, 12)
    run(part, 5)
    save_checkpoint(tmp_path, "step-000000005", resume.state(part))
    resume.restore(again, load_checkpoint(tmp_path / "step-000000005"))
    run(again, 12)
    other = again.program.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in whole.program.state_dict().items())


def test_micro_batches_sum_to_the_whole_batch() -> None:
    plain = {"name": "mlp", "widths": [12]}
    whole = fitted(recipe_of(model=plain))[0].program.state_dict()
    halves = recipe_of(
        model=plain, data={"name": "bars", "rows": 120, **WHOLE, "batch_size": 50}, engine={"accumulate": 3}
    )
    for name, value in fitted(halves)[0].program.state_dict().items():
        torch.testing.assert_close(value, whole[name], atol=2e-3, rtol=0)


def test_a_non_finite_loss_is_refused() -> None:
    x, said = minimise(lambda x: x.sum() * math.nan, torch.ones(2), 2)
    assert not any(aux.finite for aux in said)
    assert torch.equal(x, torch.ones(2))


def test_small_batches_mislead_it() -> None:
    """The same number of steps: on batches of eight the loss of the whole split stays far above full batches."""

    def loss(batch_size: int) -> float:
        data = {"name": "bars", "rows": 120, "noise": 0.5, **WHOLE, "batch_size": batch_size}
        outcome, batch = fitted(recipe_of(model={"name": "mlp", "widths": [12]}, data=data, budget={"steps": 30}))
        with torch.no_grad():
            return outcome.program("loss", batch, Clock(0))[0].item()

    assert loss(8) > 5 * loss(120)


def test_a_population_is_refused() -> None:
    with pytest.raises(UserError, match="one line search"):
        lbfgs().init(Move("loss", {"x": Parameter(torch.zeros(2, 2))}, stacked=True))
