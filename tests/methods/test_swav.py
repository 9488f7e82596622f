"""SwAV: its loss in NumPy, who moves when, what it learns, and the collapse without equal marginals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.probing import assembled, probe
from torch import nn

from thetastar import equation
from thetastar.layers.frozen import scratch
from thetastar.methods.swav import swav
from thetastar.protocols import Aux, Clock, Program
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

pytestmark = pytest.mark.shows("L3")

TINY = {"name": "mlp", "widths": [16], "norm": "batch"}
CNN = {"name": "cnn", "channels": [8, 16], "hidden": 64, "norm": "batch"}


def recipe(data: str = "bars", steps: int = 1, seed: int = 0, model: Any = TINY, **more: Any) -> Recipe:
    return Recipe(
        data={"name": "views", "source": data, **more.pop("stream", {})},
        model=model,
        method={"name": "swav", "prototypes": 32, "outputs": 32, "hidden": 64, **more.pop("method", {})},
        algorithm={"name": "adamw", "lr": 3e-3},
        budget={"steps": steps},
        engine={"evaluations": 0, **more},
        seed=seed,
    )


def method_of(program: Program) -> swav:
    assert isinstance(program.method, swav)
    return program.method


def by_hand(layers: nn.Sequential, x: np.ndarray) -> np.ndarray:
    """Linear, batch norm with the statistics of the batch, ReLU, linear, in float64."""
    for layer in layers:
        parameters = {name: p.detach().double().numpy() for name, p in layer.named_parameters()}
        if isinstance(layer, nn.Linear):
            x = x @ parameters["weight"].T + parameters.get("bias", 0.0)
        elif isinstance(layer, nn.BatchNorm1d):
            x = (x - x.mean(0)) / np.sqrt(x.var(0) + layer.eps) * parameters["weight"] + parameters["bias"]
        else:
            x = np.maximum(x, 0)
    return x


def assigned(scores: np.ndarray, epsilon: float, rounds: int) -> np.ndarray:
    """Sinkhorn's assignments: columns to equal sums, then rows to 1."""
    q = np.exp(scores / epsilon)
    for _ in range(rounds):
        q /= q.sum(0)
        q /= q.sum(1, keepdims=True)
    return q


@pytest.mark.parametrize(
    ("temperature", "epsilon", "crops", "queued"), [(0.1, 0.05, 0, False), (0.3, 0.2, 3, False), (0.1, 0.1, 2, True)]
)
def test_the_loss_swaps_assignments_between_views(temperature: float, epsilon: float, crops: int, queued: bool) -> None:
    settings = {"temperature": temperature, "epsilon": epsilon, "queue": 64 if queued else 0}
    _, stream, program = assembled(recipe(method=settings, stream={"crops": crops, "crop_size": 8} if crops else {}))
    method, batch = method_of(program), next(stream.batches("train", Clock(0)))
    got, _ = program.train()("loss", batch, Clock(0, step=50, steps=100))

    def encode(x: torch.Tensor) -> np.ndarray:
        standard = (x.double() - program.f.standardise.mean.double()) * program.f.standardise.scale.double()
        return by_hand(program.f.hidden, standard.flatten(1).numpy())

    rows = len(batch["input"])
    features = np.stack([encode(batch["input"]), encode(batch["view"])], 1)
    if crops:
        features = np.concatenate([features, encode(batch["local"].flatten(0, 1)).reshape(rows, crops, -1)], 1)
    z = by_hand(method.projector, features.reshape(rows * (2 + crops), -1))
    z = (z / np.linalg.norm(z, axis=1, keepdims=True)).reshape(rows, 2 + crops, -1)
    prototypes = method.prototypes.detach().double().numpy()
    losses = []
    for i in (0, 1):
        together = np.concatenate([z[:, i], method.queue[i].double().numpy()]) if queued else z[:, i]
        q = assigned(together @ prototypes.T, epsilon, 3)[:rows]
        for v in range(2 + crops):
            if v != i:
                p = np.exp(z[:, v] @ prototypes.T / temperature)
                losses.append(-(q * np.log(p / p.sum(1, keepdims=True))).sum(1).mean())
    np.testing.assert_allclose(got.item(), np.mean(losses), rtol=1e-4)


def test_gradients_reach_exactly_what_is_declared_and_prototypes_rest_at_first() -> None:
    _, stream, program = assembled(recipe(method={"frozen": 0.2}))
    (move,) = program.method.moves(program.f)
    for step, still in ((0, True), (50, False)):
        program.zero_grad()
        program.train()("loss", next(stream.batches("train", Clock(0))), Clock(0, step=step, steps=100))[0].backward()
        reached = {name for name, p in program.named_parameters() if p.grad is not None}
        assert reached == set(move.parameters)
        assert not any(".head." in name for name in reached)
        gradient = method_of(program).prototypes.grad
        assert gradient is not None
        assert bool(gradient.abs().sum() == 0) is still


def test_a_loss_writes_nothing_and_observe_normalises_the_prototypes_and_moves_the_queue() -> None:
    _, stream, program = assembled(recipe(method={"queue": 64}))
    method = method_of(program)
    with torch.no_grad():
        method.prototypes.mul_(torch.linspace(0.5, 2, 32)[:, None])
    before = {name: value.clone() for name, value in program.state_dict().items()}
    batch, t = next(stream.batches("train", Clock(0))), Clock(0, step=60, steps=100)
    program.train()
    with scratch(program):
        first, aux = program("loss", batch, t)
        assert torch.equal(program("loss", batch, t)[0], first)
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict().items())
    method.observe(program.f, {"loss": aux}, t)
    torch.testing.assert_close(method.prototypes.norm(dim=1), torch.ones(32))
    rows = len(batch["input"])
    assert torch.equal(method.queue[:, :rows], aux.carry["z"].transpose(0, 1))
    assert torch.equal(method.queue[:, rows:], before["method.queue"][:, rows:])
    touched = {name for name, value in program.state_dict().items() if not torch.equal(value, before[name])}
    assert touched == {"method.prototypes", "method.queue", "method.oldest"}


def test_the_queue_forgets_the_oldest_first_and_waits_until_it_is_full() -> None:
    _, _, program = assembled(recipe(method={"queue": 8, "outputs": 2, "queue_from": 0.5}))
    method = method_of(program)
    for number in range(7):
        z = torch.arange(3 * number + 1, 3 * number + 4.0)[:, None, None].expand(3, 2, 2)
        method.observe(program.f, {"loss": Aux(carry={"z": z})}, Clock(0))
        held = sorted(method.queue[1, :, 0].tolist())[-min(8, 3 * number + 3) :]
        assert held == list(range(max(1, 3 * number - 4), 3 * number + 4))
    z = nn.functional.normalize(torch.randn(4, 2), dim=-1)
    alone = method.assigned(0, z, Clock(0, step=0, steps=10))
    assert torch.equal(method.assigned(0, z, Clock(0, step=1, steps=2)), alone)  # 4 of 8 have been seen
    assert torch.equal(method.assigned(0, z, Clock(0, step=4, steps=10)), alone)  # too early in the run
    assert not torch.equal(method.assigned(0, z, Clock(0, step=5, steps=10)), alone)


def gauges(program: Program, stream: Any) -> dict[str, float]:
    program.train()
    with torch.no_grad(), scratch(program):
        aux = program("loss", next(stream.batches("train", Clock(9))), Clock(0, step=1, steps=1))[1]
    return {name: float(value) for name, value in aux.log.items()}


def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    gains = []
    for seed in range(3):
        whole, stream, program = assembled(recipe("digits", 250, seed, CNN))
        random = probe(program, stream)
        equation.fit(whole, stream=stream, start=program)
        gains.append(probe(program, stream) - random)
        found = gauges(program, stream)
        assert found["spread"] > 0.6
        assert found["prototypes"] > 20  # of 32
    assert min(gains) > 0.03
    assert np.mean(gains) > 0.05


def test_without_equal_marginals_all_examples_go_to_one_prototype(monkeypatch: pytest.MonkeyPatch) -> None:
    """Assignments that are only sharpened predictions agree best where there is nothing to tell apart."""
    monkeypatch.setattr(
        "thetastar.methods.swav.sinkhorn", lambda scores, epsilon, rounds: torch.softmax(scores / epsilon, -1)
    )
    whole, stream, program = assembled(recipe("digits", 250, 0, CNN))
    equation.fit(whole, stream=stream, start=program)
    found = gauges(program, stream)
    assert found["prototypes"] < 3
    assert found["spread"] < 0.3


class Interrupt(Watch):
    def step(self, step: int, steps: int) -> None:
        if step == 9:
            raise KeyboardInterrupt


def test_an_interrupted_run_ends_with_the_same_bits_with_queue_and_crops(tmp_path: Path) -> None:
    more = {"method": {"queue": 64}, "stream": {"crops": 2}}
    straight = equation.fit(recipe(steps=14, **more)).program.state_dict()
    broken = recipe(steps=14, checkpoint=1e-9, method={"queue": 64}, stream={"crops": 2})
    with pytest.raises(KeyboardInterrupt):
        equation.fit(broken, run=Run.create(tmp_path / "run"), watch=Interrupt())
    run = Run(tmp_path / "run")
    assert run.latest() is not None
    resumed = equation.fit(broken, run=run).program.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())


def test_members_of_a_population_with_their_own_temperature_are_those_trained_alone() -> None:
    inner = {"name": "swav", "prototypes": 8, "hidden": 16, "outputs": 8, "queue": 64, "queue_from": 0.0}
    given = recipe(steps=6, model={"name": "mlp", "widths": [8]}, stream={"crops": 2})
    given = given.replace(algorithm={"name": "sgd", "lr": 0.05}, measures=["spread"])
    many = {"name": "population", "inner": inner, "seeds": [0, 0], "execution": "stacked"}
    many |= {"vary": {"method.temperature": [0.1, 0.3]}}
    members: Any = equation.fit(given.replace(method=many)).program.method
    together = members.members.state_dict()
    for k, temperature in enumerate((0.1, 0.3)):
        alone = equation.fit(given.replace(method={**inner, "temperature": temperature})).program.state_dict()
        for name, value in alone.items():
            if value.is_floating_point():
                torch.testing.assert_close(together[name][k], value, rtol=1e-3, atol=1e-5)
