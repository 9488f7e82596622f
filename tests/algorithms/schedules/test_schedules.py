"""Schedules equal torch's schedulers step by step, and warm up in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as reference

from thetastar import registry
from thetastar.protocols import Aux, Batch, Clock, Move

STEPS = 40


def curve(spec: dict[str, Any], steps: int = STEPS) -> list[float]:
    schedule = registry.build("algorithms/schedules", spec)
    return [schedule.factor(Clock(0, step, steps)) for step in range(steps)]


def theirs(make: Callable[[torch.optim.Optimizer], Any]) -> list[float]:
    """The rates of a torch scheduler with peak 1."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = make(optimiser), []
    for _ in range(STEPS):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


CASES: dict[str, tuple[dict[str, Any], Callable[[torch.optim.Optimizer], Any]]] = {
    "constant": ({"name": "constant"}, lambda o: reference.ConstantLR(o, 1.0)),
    "cosine": ({"name": "cosine", "warmup": 0.0}, lambda o: reference.CosineAnnealingLR(o, STEPS)),
    "cosine to a floor": (
        {"name": "cosine", "warmup": 0.0, "final": 0.1},
        lambda o: reference.CosineAnnealingLR(o, STEPS, eta_min=0.1),
    ),
    "linear": (
        {"name": "linear", "warmup": 0.0, "final": 0.2},
        lambda o: reference.LinearLR(o, start_factor=1.0, end_factor=0.2, total_iters=STEPS),
    ),
    "exponential": (
        {"name": "exponential", "final": 0.03},
        lambda o: reference.ExponentialLR(o, 0.03 ** (1 / STEPS)),
    ),
    "cosine, four cycles": (
        {"name": "cosine", "warmup": 0.0, "cycles": 4},
        lambda o: reference.CosineAnnealingWarmRestarts(o, STEPS // 4),
    ),
    "cosine, cycles of 8 and 32 steps": (
        {"name": "cosine", "warmup": 0.0, "cycles": 2, "stretch": 4, "final": 0.1},
        lambda o: reference.CosineAnnealingWarmRestarts(o, 8, T_mult=4, eta_min=0.1),
    ),
    "step": (
        {"name": "step", "milestones": [0.25, 0.8], "gamma": 0.3},
        lambda o: reference.MultiStepLR(o, [10, 32], gamma=0.3),
    ),
    "onecycle": ({"name": "onecycle"}, lambda o: reference.OneCycleLR(o, 1.0, total_steps=STEPS + 1)),
    "onecycle, own ends": (
        {"name": "onecycle", "rise": 0.5, "initial": 0.1, "final": 0.01},
        lambda o: reference.OneCycleLR(
            o, 1.0, total_steps=STEPS + 1, pct_start=0.5, div_factor=10, final_div_factor=10
        ),
    ),
}


@pytest.mark.shows("O3")
@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("onecycle")])
def test_equals_torch(name: str) -> None:
    spec, make = CASES[name]
    assert curve(spec) == pytest.approx(theirs(make), abs=1e-9)


@pytest.mark.shows("O3")
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("onecycle")])
def test_one_cycle_equals_torch(name: str) -> None:
    spec, make = CASES[name]
    assert curve(spec, STEPS + 1)[:STEPS] == pytest.approx(theirs(make), abs=1e-9)


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "linear", "exponential", "plateau"])
def test_warm_up_rises_in_equal_parts_to_what_follows(name: str) -> None:
    warm, plain = curve({"name": name, "warmup": 0.25}), curve({"name": name, "warmup": 0.0})
    assert warm[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert warm[10] == pytest.approx(1.0)
    if name in ("constant", "step", "plateau"):
        assert warm[10:] == plain[10:]


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "linear", "exponential", "plateau", "onecycle"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_rate(name: str, steps: int) -> None:
    assert all(0 < factor <= 1 for factor in curve({"name": name}, steps)[:1])


@pytest.mark.shows("O3")
@settings(deadline=None)
@given(st.lists(st.floats(0.01, 2.0), min_size=1, max_size=60), st.integers(0, 3), st.sampled_from([1e-4, 0.1]))
def test_plateau_equals_torch_fed_with_the_same_losses(losses: list[float], patience: int, threshold: float) -> None:
    schedule = registry.build(
        "algorithms/schedules", {"name": "plateau", "gamma": 0.5, "patience": patience, "threshold": threshold}
    )
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = reference.ReduceLROnPlateau(optimiser, factor=0.5, patience=patience, threshold=threshold, eps=0.0)
    for epoch, loss in enumerate(losses):
        theirs.step(loss)
        assert schedule.factor(Clock(0, epoch, 100), losses[: epoch + 1]) == optimiser.param_groups[0]["lr"]


@pytest.mark.shows("O3")
def test_plateau_hears_the_mean_loss_of_each_epoch() -> None:
    """A loss that cannot fall divides the rate after every `patience` + 1 further epochs; one that falls does not."""
    rates: list[float] = []
    parameter = torch.nn.Parameter(torch.ones(1))
    algorithm = registry.build(
        "algorithms", {"name": "sgd", "lr": 1.0, "momentum": 0.0, "schedule": {"name": "plateau", "patience": 1}}
    )
    move = Move("loss", {"f.x": parameter})
    state = algorithm.init(move)
    for step in range(24):
        before = parameter.item()
        said = 100.0 - step // 2 if step < 12 else 50.0

        def loss(batch: Batch, part: int, said: float = said) -> tuple[torch.Tensor, Aux]:
            return parameter.sum() - parameter.item() + said, Aux()

        algorithm.update(move, loss, [{}], state, Clock(0, step, 24, epoch=step // 2))
        rates.append(before - parameter.item())
    assert state.heard.losses == [100.0, 99.0, 98.0, 97.0, 96.0, 95.0, 50.0, 50.0, 50.0, 50.0, 50.0]
    assert [round(rate, 4) for rate in rates[::2]] == [1.0] * 9 + [0.1] * 2 + [0.01]
