"""MoCo: its loss in NumPy with the queue, who moves when, what it learns, and the collapse of its known failures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.representations import by_hand as in_float64
from tests.methods.representations import encoded, gains, pure_and_reached

from thetastar import equation
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.functional.collapse import spread
from thetastar.functional.gradients import window_gradient
from thetastar.methods.moco import moco
from thetastar.protocols import Aux, Clock, Program
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

TINY = {"name": "mlp", "widths": [16]}
CNN = {"name": "cnn", "channels": [8, 16], "hidden": 64}


def recipe(data: str = "bars", steps: int = 1, seed: int = 0, model: Any = TINY, **more: Any) -> Recipe:
    return Recipe(
        data={"name": "views", "source": data},
        model=model,
        method={"name": "moco", "queue": 512, "outputs": 32, "hidden": 128, **more.pop("method", {})},
        algorithm={"name": "adamw", "lr": 3e-3},
        budget={"steps": steps},
        engine={"evaluations": 0, **more},
        seed=seed,
    )


def assembled(given: Recipe) -> tuple[Recipe, Any, Program]:
    stream = open_stream(given.data)
    whole = completed(given, stream)
    return whole, stream, equation.assemble(whole, stream.schema)


def perturbed(program: Program) -> moco:
    """The key encoder away from the query encoder, as it is in the middle of a run."""
    method = program.method
    assert isinstance(method, moco)
    with torch.no_grad():
        for parameter in [*method.key_encoder.parameters(), *method.key_projector.parameters()]:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return method


def by_hand(f: Any, projector: Any, x: torch.Tensor) -> np.ndarray:
    """A linear layer, ReLU, the projector (linear, ReLU, linear) and unit length, in float64."""
    h = ((x.double() - f.standardise.mean.double()) * f.standardise.scale.double()).flatten(1).numpy()
    for layer, rectify in ((f.hidden[0], True), (projector[0], True), (projector[-1], False)):
        h = h @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
        h = np.maximum(h, 0) if rectify else h
    return h / np.linalg.norm(h, axis=1, keepdims=True)


def test_the_loss_is_info_nce_against_the_queue() -> None:
    _, stream, program = assembled(recipe())
    method = perturbed(program)
    batch = next(stream.batches("train", Clock(0)))
    got, aux = program("loss", batch, Clock(0))
    query = by_hand(program.f, method.projector, batch["input"])
    key = by_hand(method.key_encoder.module, method.key_projector.module, batch["view"])
    queue = method.queue.double().numpy()
    own, others = np.exp((query * key).sum(1) / 0.2), np.exp(query @ queue.T / 0.2).sum(1)
    np.testing.assert_allclose(got.item(), -np.log(own / (own + others)).mean(), rtol=1e-5)
    np.testing.assert_allclose(aux.carry["keys"].numpy(), key, rtol=1e-4, atol=1e-5)


@pytest.mark.shows("L3")
@pytest.mark.parametrize(("temperature", "hard"), [(0.07, 0.0), (0.2, 1.0), (1.0, 0.5)])
def test_hard_negatives_of_the_queue_weigh_more(temperature: float, hard: float) -> None:
    """Query by query and negative by negative."""
    _, stream, program = assembled(recipe(method={"temperature": temperature, "hard_negatives": hard, "queue": 40}))
    method = perturbed(program)
    batch = next(stream.batches("train", Clock(0)))
    got, _ = program("loss", batch, Clock(0))
    queries = by_hand(program.f, method.projector, batch["input"])
    keys = by_hand(method.key_encoder.module, method.key_projector.module, batch["view"])
    queue, total = method.queue.double().numpy(), 0.0
    for q, k in zip(queries, keys, strict=True):
        cosines = [float(q @ n) / temperature for n in queue]
        mean = sum(math.exp(hard * a) for a in cosines) / len(cosines)
        others = sum(math.exp(hard * a) / mean * math.exp(a) for a in cosines)
        own = math.exp(float(q @ k) / temperature)
        total -= math.log(own / (own + others))
    np.testing.assert_allclose(got.item(), total / len(queries), rtol=1e-5)


def keys_of(method: moco, x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return method.shuffled(lambda part: method.key_projector(method.key_encoder.features(part)), x)


@pytest.mark.shows("L3")
def test_a_key_is_a_function_of_its_own_view_alone() -> None:
    """With batch norm in the net: another batch around an example leaves its key as it is."""
    given = recipe(model={**TINY, "norm": "batch"})
    _, stream, program = assembled(given)
    program.train()
    x, others = (stream.sample("train", 32)["input"], stream.sample("valid", 20)["input"])
    before = keys_of(program.method, x)
    torch.testing.assert_close(keys_of(program.method, torch.cat([x[:12], others]))[:12], before[:12])


@pytest.mark.shows("L3")
def test_shuffled_batch_norm_puts_queries_and_keys_into_different_groups() -> None:
    """Queries by hand in groups of neighbours, keys in groups of the drawn order, each with moments of its own."""
    _, stream, program = assembled(recipe(model={**TINY, "norm": "batch"}, method={"key_groups": 4}))
    method = perturbed(program)
    x = next(stream.batches("train", Clock(0)))["input"]
    torch.manual_seed(5)
    order = torch.rand(len(x)).argsort()
    got = keys_of(method, x, 5).numpy()
    for part in order.tensor_split(4):
        inner = encoded(method.key_encoder.module, x[part])
        np.testing.assert_allclose(got[part], in_float64(method.key_projector.module, inner), rtol=1e-4, atol=1e-5)
    own = [set(part.tolist()) for part in order.tensor_split(4)]
    neighbours = [set(range(8 * k, 8 * k + 8)) for k in range(4)]
    assert len(x) == 32
    assert max(len(one & other) for one in own for other in neighbours) < 8
    program.train()
    query = method.in_groups(lambda part: method.projector(program.f.features(part)), x).detach().numpy()
    inner = encoded(program.f, x[8:16])
    np.testing.assert_allclose(query[8:16], in_float64(method.projector, inner), rtol=1e-4, atol=1e-5)


def test_shuffled_batch_norm_keeps_the_loss_pure_and_wants_two_examples_a_group() -> None:
    pure_and_reached(recipe(model={**TINY, "norm": "batch"}, method={"key_groups": 4}))
    small = recipe(method={"key_groups": 8}).replace(data={"name": "views", "source": "bars", "batch_size": 15})
    with pytest.raises(UserError, match="moco on batches of 15: each of 8 groups has moments of its own; expected at"):
        equation.fit(small)


def test_gradients_reach_exactly_what_is_declared() -> None:
    _, stream, program = assembled(recipe())
    (move,) = program.method.moves(program.f)
    program("loss", next(stream.batches("train", Clock(0))), Clock(0))[0].backward()
    reached = {name for name, p in program.named_parameters() if p.grad is not None}
    assert reached == set(move.parameters)
    assert not any("key" in name or ".head." in name for name in reached)


def test_a_loss_writes_nothing_and_observe_moves_the_key_encoder_and_the_queue() -> None:
    _, stream, program = assembled(recipe())
    method = perturbed(program)
    before = {name: value.clone() for name, value in program.state_dict().items()}
    batch = next(stream.batches("train", Clock(0)))
    first, aux = program("loss", batch, Clock(0))
    assert torch.equal(program("loss", batch, Clock(0))[0], first)
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict().items())
    method.observe(program.f, {"loss": aux}, Clock(0))
    for name, own, other in (
        ("encoder", "method.key_encoder.module.hidden.0.weight", "f.hidden.0.weight"),
        ("projector", "method.key_projector.module.0.bias", "method.projector.0.bias"),
    ):
        expected = 0.99 * before[own] + 0.01 * before[other]
        torch.testing.assert_close(program.state_dict()[own], expected, rtol=1e-5, atol=1e-7, msg=name)
        assert torch.equal(program.state_dict()[other], before[other])
    rows = len(batch["input"])
    assert torch.equal(method.queue[:rows], aux.carry["keys"])
    assert torch.equal(method.queue[rows:], before["method.queue"][rows:])


def test_the_queue_forgets_the_oldest_keys_first() -> None:
    _, _, program = assembled(recipe(method={"queue": 8, "outputs": 2}))
    method = program.method
    for number in range(7):
        keys = torch.arange(3 * number + 1, 3 * number + 4.0)[:, None].expand(3, 2)  # above all that is random
        method.observe(program.f, {"loss": Aux(carry={"keys": keys})}, Clock(0))
        held = sorted(method.queue[:, 0].tolist())[-min(8, 3 * number + 3) :]
        assert held == list(range(max(1, 3 * number - 4), 3 * number + 4))
    long = torch.arange(100.0, 120)[:, None].expand(20, 2)
    method.observe(program.f, {"loss": Aux(carry={"keys": long})}, Clock(0))
    assert sorted(method.queue[:, 0].tolist()) == list(range(112, 120))


def test_micro_batches_give_the_gradient_and_the_keys_of_the_large_batch() -> None:
    _, stream, program = assembled(recipe())
    batch = next(stream.batches("train", Clock(0)))
    pieces = [{name: value[part] for name, value in batch.items()} for part in (slice(0, 12), slice(12, None))]

    def gradient(window: list[Any]) -> tuple[Aux, torch.Tensor]:
        program.zero_grad()
        aux = window_gradient(lambda part, number: program("loss", part, Clock(0)), window)
        grads = torch.cat([p.grad.flatten() for p in program.parameters() if p.grad is not None])
        return aux, grads / (aux.weight if len(window) > 1 else 1)

    (whole, expected), (parts, got) = gradient([batch]), gradient(pieces)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(parts.carry["keys"], whole.carry["keys"], rtol=1e-5, atol=1e-6)


def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    found = gains({"name": "moco", "queue": 512, "outputs": 32, "hidden": 128}, 300)
    assert min(found) > 0
    assert np.mean(found) > 0.02


def key_spread(failure: str) -> float:
    given = recipe("digits", 200, 0, CNN, method={"momentum": 0.0} if failure == "no momentum" else {})
    whole, stream, program = assembled(given)
    method = program.method
    if failure == "stale queue":
        observe, first = method.observe, method.queue.clone()

        def observe_without_queue(*inputs: Any) -> None:
            observe(*inputs)
            method.queue.copy_(first)

        method.observe = observe_without_queue
    equation.fit(whole, stream=stream, start=program)
    with torch.no_grad():
        return float(spread(method.projector(program.f.features(stream.sample("valid", 270)["input"]))))


def test_it_collapses_without_momentum_or_with_a_stale_queue_and_not_with_both() -> None:
    """No momentum fails as in table 3.3 of He et al. 2020; random negatives that never change are fled by all alike."""
    assert key_spread("none") > 0.9
    assert key_spread("no momentum") < 0.1
    assert key_spread("stale queue") < 0.1


class Interrupt(Watch):
    def step(self, step: int, steps: int) -> None:
        if step == 9:
            raise KeyboardInterrupt


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    straight = equation.fit(recipe(steps=14)).program.state_dict()
    broken = recipe(steps=14, checkpoint=1e-9)
    with pytest.raises(KeyboardInterrupt):
        equation.fit(broken, run=Run.create(tmp_path / "run"), watch=Interrupt())
    run = Run(tmp_path / "run")
    assert run.latest() is not None
    resumed = equation.fit(broken, run=run).program.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
