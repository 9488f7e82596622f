"""BYOL: its loss by hand, who moves when, and the collapse that the predictor and the stopped gradient prevent."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.representations import by_hand, encoded
from torch import Tensor, nn

from thetastar import equation
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.functional.collapse import spread
from thetastar.layers.frozen import scratch
from thetastar.methods.byol import byol
from thetastar.protocols import Clock, Program
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

METHOD = {"name": "byol", "outputs": 32, "hidden": 128}


def recipe(data: str, steps: int, seed: int = 0, **engine: Any) -> Recipe:
    return Recipe(
        data={"name": "views", "source": data},
        model={"name": "mlp", "widths": [64], "norm": "batch"},
        method=METHOD,
        algorithm={"name": "adamw", "lr": 3e-3},
        budget={"steps": steps},
        engine={"evaluations": 0, **engine},
        seed=seed,
    )


def assembled(data: str = "bars", steps: int = 1, seed: int = 0) -> tuple[Recipe, Any, Program]:
    stream = open_stream({"name": "views", "source": data})
    whole = completed(recipe(data, steps, seed), stream)
    return whole, stream, equation.assemble(whole, stream.schema)


def perturbed(program: Program) -> byol:
    """The target away from the online networks, as it is in the middle of a run."""
    method = program.method
    assert isinstance(method, byol)
    with torch.no_grad():
        for parameter in [*method.target.parameters(), *method.target_projector.parameters()]:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return method


def test_the_loss_is_two_minus_two_cosines_a_direction() -> None:
    _, stream, program = assembled()
    method = perturbed(program)
    batch = next(stream.batches("train", Clock(0)))
    got, aux = program.train()("loss", batch, Clock(0))

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 2 - 2 * (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)

    views = (batch["input"], batch["view"])
    online = [by_hand(method.predictor, by_hand(method.projector, encoded(program.f, x))) for x in views]
    target = [by_hand(method.target_projector.module, encoded(method.target.module, x)) for x in views]
    expected = (distance(online[0], target[1]) + distance(online[1], target[0])).mean()
    np.testing.assert_allclose(got.item(), expected, rtol=1e-4)
    assert 0 <= aux.log["spread"] <= 1


def test_gradients_reach_exactly_what_is_declared() -> None:
    _, stream, program = assembled()
    perturbed(program)
    (move,) = program.method.moves(program.f)
    program.train()("loss", next(stream.batches("train", Clock(0))), Clock(0))[0].backward()
    reached = {name for name, p in program.named_parameters() if p.grad is not None}
    assert reached == set(move.parameters)
    assert not any("target" in name or ".head." in name for name in reached)


def test_a_loss_writes_nothing_and_observe_moves_the_target_by_its_formula() -> None:
    _, stream, program = assembled()
    method = perturbed(program)
    before = {name: value.clone() for name, value in program.state_dict().items()}
    batch, t = next(stream.batches("train", Clock(0))), Clock(0, step=30, steps=120)
    program.train()
    with scratch(program):
        first, aux = program("loss", batch, t)
        assert torch.equal(program("loss", batch, t)[0], first)
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict().items())
    method.observe(program.f, {"loss": aux}, t)
    momentum = 1 - 0.01 * (math.cos(math.pi / 4) + 1) / 2
    after = program.state_dict()
    for name, value in after.items():
        if not name.startswith("method.target") or "running" in name or "tracked" in name:
            assert torch.equal(value, before[name])
            continue
        online = name.replace("method.target.module.", "f.").replace("target_projector.module", "projector")
        expected = momentum * before[name] + (1 - momentum) * before[online]
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7)


class Live:
    """The online network in place of the target: gradients pass."""

    def __init__(self, call: Any) -> None:
        self.call = self.features = call

    def __call__(self, x: Tensor) -> Tensor:
        return self.call(x)

    def follow(self, module: nn.Module, momentum: float) -> None:
        pass


def projection_spread(variant: str, seed: int) -> float:
    """How far the projections of the valid split are spread after training."""
    whole, stream, program = assembled("digits", 250, seed)
    method = program.method
    if variant == "without predictor":
        method.predictor = nn.Identity()
    if variant == "without stopped gradient":
        f, projector = program.f, method.projector
        del method.target, method.target_projector
        method.target, method.target_projector = Live(f.features), Live(projector)
    equation.fit(whole, stream=stream, start=program)
    with torch.no_grad():
        return float(spread(method.projector(program.f.features(stream.sample("valid", 270)["input"]))))


@pytest.mark.parametrize("seed", [0, 1])
def test_it_collapses_without_the_predictor_or_the_stopped_gradient_and_not_with_them(seed: int) -> None:
    assert projection_spread("whole", seed) > 0.75
    assert projection_spread("without predictor", seed) < 0.35
    assert projection_spread("without stopped gradient", seed) < 0.35


class Interrupt(Watch):
    def step(self, step: int, steps: int) -> None:
        if step == 9:
            raise KeyboardInterrupt


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = recipe("bars", 14)
    straight = equation.fit(whole).program.state_dict()
    broken = recipe("bars", 14, checkpoint=1e-9)
    with pytest.raises(KeyboardInterrupt):
        equation.fit(broken, run=Run.create(tmp_path / "run"), watch=Interrupt())
    run = Run(tmp_path / "run")
    assert run.latest() is not None
    resumed = equation.fit(broken, run=run).program.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())


def test_predict_gives_features_and_measures_speak_of_them() -> None:
    outcome = equation.fit(recipe("bars", 3))
    assert set(outcome.values) == {"knn_accuracy", "effective_rank", "spread"}
    x = {"input": torch.rand(5, 1, 8, 8)}
    out = outcome.program.method.predict(outcome.program.f, x, frozenset({"features", "logits"}), Clock(0))
    assert {name: value.shape for name, value in out.items()} == {"features": (5, 64)}


def test_a_batch_too_small_for_batch_norm_is_refused() -> None:
    given = recipe("bars", 1).replace(data={"name": "views", "source": "bars", "batch_size": 3})
    with pytest.raises(UserError, match=r"byol on batches of 3: moments over so few .*; expected at least 4"):
        equation.fit(given)
