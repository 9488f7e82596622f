"""Schedules equal torch's schedulers step by step, and warm up in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as reference

from thetastar import registry
from thetastar.protocols import Clock

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


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("onecycle")])
def test_equals_torch(name: str) -> None:
    spec, make = CASES[name]
    assert curve(spec) == pytest.approx(theirs(make), abs=1e-9)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("onecycle")])
def test_one_cycle_equals_torch(name: str) -> None:
    spec, make = CASES[name]
    assert curve(spec, STEPS + 1)[:STEPS] == pytest.approx(theirs(make), abs=1e-9)


@pytest.mark.parametrize("name", ["constant", "step", "cosine"])
def test_warm_up_rises_in_equal_parts_to_what_follows(name: str) -> None:
    warm, plain = curve({"name": name, "warmup": 0.25}), curve({"name": name, "warmup": 0.0})
    assert warm[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert warm[10] == pytest.approx(1.0)
    if name != "cosine":
        assert warm[10:] == plain[10:]


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "onecycle"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_rate(name: str, steps: int) -> None:
    assert all(0 < factor <= 1 for factor in curve({"name": name}, steps)[:1])
