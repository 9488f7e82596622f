"""Deep Q-learning: its goal by hand, the pole held up, and what happens without its memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import thetastar as ts
from thetastar import contract, equation
from thetastar.errors import UserError
from thetastar.protocols import Aux, Clock
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

PLAIN = {"evaluations": 0, "precision": "float32"}


def held_up(seed: int, method: dict[str, Any] | None = None, **data: Any) -> float:
    """Mean return of twenty greedy episodes after training."""
    model = {"name": "mlp", "widths": [128]}
    star = ts.fit({"name": "cartpole", **data}, model, method, steps=1500, seed=seed, engine=PLAIN)
    return star.measures["valid"]["episode_return"]


@pytest.mark.parametrize("seed", [0, 1])
def test_it_holds_the_pole_up(seed: int) -> None:
    """Random play lasts about 22 ticks."""
    assert held_up(seed) >= 150


def test_without_a_memory_or_without_a_target_network_it_learns_nothing() -> None:
    """The known failures: batches of what the carts do just now, and a goal that runs away with the weights."""
    assert held_up(0, capacity=8, warmup=8) < 60
    assert held_up(0, {"name": "dqn", "period": 1, "double": False}) < 60


@pytest.mark.parametrize("double", [False, True])
def test_the_loss_is_hubers_of_the_temporal_difference(double: bool) -> None:
    """Recomputed one transition at a time."""
    trial = contract.opened("methods", "dqn")
    f, method, batch = trial.program.f, trial.program.method, trial.batch
    method.decoupled = double
    with torch.no_grad():
        for parameter in f.parameters():
            parameter.add_(torch.randn(parameter.shape))  # so that it differs from its target network
    losses = []
    for i in range(len(batch["input"])):
        value = f(batch["input"][i : i + 1])[0, batch["action"][i]].item()
        later = method.target(batch["next"][i : i + 1])[0].tolist()
        own = f(batch["next"][i : i + 1])[0].tolist()
        best = later[own.index(max(own))] if double else max(later)
        gap = abs(batch["reward"][i].item() + (0.0 if batch["terminal"][i] else method.discount * best) - value)
        losses.append(0.5 * gap**2 if gap < 1 else gap - 0.5)
    assert batch["terminal"].any()
    found = method.loss(f, batch, trial.clock)[0].item()
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_the_target_network_is_copied_every_period() -> None:
    trial = contract.opened("methods", "dqn")
    f, method = trial.program.f, trial.program.method
    method.period = 3
    nothing: Mapping[str, Aux] = {}
    seen = []
    for step in range(6):
        with torch.no_grad():
            f.head.bias.fill_(float(step + 1))
        method.observe(f, nothing, Clock(0, step))
        seen.append(method.target.module.head.bias[0].item())
    assert seen[2:] == [3.0, 3.0, 3.0, 6.0]
    assert seen[0] == seen[1] != 2.0


def test_exploration_falls_linearly_and_stops_when_training_does() -> None:
    trial = contract.opened("methods", "dqn")
    f, method = trial.program.f, trial.program.method
    batch = {"input": torch.zeros(20_000, 4), "index": torch.arange(20_000)}
    best = int(f(batch["input"][:1]).argmax())
    # (1 − ε) + ε/2 of the actions are the best one
    for step, epsilon in ((0, 1.0), (15, 0.525), (30, 0.05), (90, 0.05)):
        t = Clock(0, step, 100)
        assert method.epsilon(t) == pytest.approx(epsilon)
        action = method.train().predict(f, batch, frozenset({"action"}), t)["action"]
        assert abs((action == best).float().mean() - (1 - epsilon / 2)) < 0.02
    action = method.eval().predict(f, batch, frozenset({"action"}), Clock(0, 0, 100))["action"]
    assert (action == best).all()


class Stop(Watch):
    def step(self, step: int, steps: int) -> None:
        if step == 17:
            raise KeyboardInterrupt


def test_an_interrupted_run_resumes_with_environment_and_memory_to_the_same_bits(tmp_path: Path) -> None:
    recipe = Recipe.from_mapping({**contract.example("methods", "dqn").to_mapping(), "budget": {"steps": 30}})
    recipe = recipe.replace(engine={**recipe.engine, "checkpoint": 1e-9})
    whole = equation.fit(recipe, run=Run.create(tmp_path / "whole"))
    run = Run.create(tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        equation.fit(recipe, run=run, watch=Stop())
    parts = equation.fit(recipe, run=run)
    one, two = whole.program.state_dict(), parts.program.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    one, two = whole.stream.state_dict(), parts.stream.state_dict()
    assert one["written"] == two["written"] == 50 + 30 * 2
    assert torch.equal(one["state"], two["state"])
    assert all(torch.equal(one["memory"][name], two["memory"][name]) for name in one["memory"])
    assert whole.values == parts.values


def test_data_without_actions_are_refused() -> None:
    with pytest.raises(UserError, match="an environment with actions"):
        ts.fit("bars", {"name": "mlp", "widths": [4]}, "dqn", steps=1)
