"""Meta-learning: the gradient through the inner steps, and tasks learnt from a few points."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import thetastar as ts
from thetastar.errors import UserError
from thetastar.functional.keys import reseed
from thetastar.methods.maml import maml
from thetastar.methods.supervised import supervised
from thetastar.models.mlp import mlp
from thetastar.protocols import Batch, Clock, Field, Program, Schema

PLAIN = {"evaluations": 0, "precision": "float32"}
T = Clock(0)


def toy(method: dict[str, Any], norm: str | None = None, tasks: int = 3) -> tuple[Program, Batch]:
    """A net of a few weights in float64 with some tasks."""
    torch.manual_seed(0)
    schema = Schema(Field("vector", (2,)), Field("number", (), mean=(0.0,), std=(1.0,)))
    f = mlp(schema, widths=(3,), activation="tanh", norm=norm)
    learner = maml(inner=supervised(), **method)
    learner.attach(f, schema)
    draw = torch.Generator().manual_seed(1)

    def part(shots: int) -> Batch:
        x = torch.randn(tasks, shots, 2, generator=draw, dtype=torch.float64)
        return {"input": x, "target": torch.randn(tasks, shots, generator=draw, dtype=torch.float64)}

    program = Program(f, learner).double()
    f.head[1].forward = lambda z: z.squeeze(-1)  # the toy's units are 1, and `Units` would round to float32
    return program, {"support": part(4), "query": part(5)}


def gradient(program: Program, batch: Batch) -> Tensor:
    value = program("loss", batch, T)[0]
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(program.f.parameters()))])


def slope_by_differences(program: Program, batch: Batch) -> Tensor:
    found, h = [], 1e-5
    for parameter in program.f.parameters():
        flat = parameter.data.view(-1)
        for i in range(len(flat)):
            values = []
            for sign in (1, -1):
                flat[i] += sign * h
                values.append(program("loss", batch, T)[0].item())
                flat[i] -= sign * h
            found.append((values[0] - values[1]) / (2 * h))
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_second_order_gradient_equals_finite_differences_and_the_first_order_does_not(steps: int) -> None:
    program, batch = toy({"rate": 0.4, "steps": steps})
    exact = slope_by_differences(program, batch)
    torch.testing.assert_close(gradient(program, batch), exact, atol=1e-8, rtol=1e-6)
    first, same = toy({"rate": 0.4, "steps": steps, "first_order": True})
    assert first("loss", same, T)[0] == program("loss", batch, T)[0]  # the same loss, another gradient
    assert (gradient(first, same) - exact).norm() > 0.1 * exact.norm()


def test_the_first_order_gradient_is_that_of_the_query_at_the_adapted_weights() -> None:
    """By hand, one task after the other, with plain autograd."""
    program, batch = toy({"rate": 0.4, "first_order": True})
    f, parameters = program.f, list(program.f.parameters())
    start = [p.detach().clone() for p in parameters]
    total = [torch.zeros_like(p) for p in parameters]
    for task in range(3):
        for name in ("support", "query"):
            x, y = batch[name]["input"][task], batch[name]["target"][task]
            slopes = torch.autograd.grad((f(x) - y).square().mean(), parameters)
            for p, s, g, sum_ in zip(parameters, start, slopes, total, strict=True):
                if name == "support":
                    p.data = s - 0.4 * g
                else:
                    sum_ += g / 3
                    p.data = s.clone()
    torch.testing.assert_close(gradient(program, batch), torch.cat([g.flatten() for g in total]))


def test_batch_norm_uses_the_task_at_hand_and_writes_nothing() -> None:
    program, batch = toy({"rate": 0.1}, norm="batch")
    before = {name: value.clone() for name, value in program.named_buffers()}
    training = program.train()("loss", batch, T)[0]
    resting = program.eval()("loss", batch, T)[0]
    assert training == resting
    assert all(torch.equal(value, before[name]) for name, value in program.named_buffers())
    # each task alone gives what it gives beside the others
    alone = [
        program("loss", {k: {n: v[i : i + 1] for n, v in part.items()} for k, part in batch.items()}, T)[0]
        for i in range(3)
    ]
    torch.testing.assert_close(torch.stack(alone).mean(), training)


def test_predict_adapts_on_the_support() -> None:
    program, batch = toy({"rate": 0.2, "steps": 50})
    told = {"support": batch["support"], "query": batch["support"]}
    with torch.no_grad():
        adapted = program.method.predict(program.f, told, frozenset({"prediction"}), T)["prediction"]
        unadapted = program.f(batch["support"]["input"].flatten(0, 1))
    target = batch["support"]["target"].flatten()
    assert adapted.shape == target.shape
    assert (adapted - target).square().mean() < 0.8 * (unadapted - target).square().mean()
    plain = {"input": batch["query"]["input"][0]}
    same = program.method.predict(program.f, plain, frozenset({"prediction"}), T)["prediction"]
    torch.testing.assert_close(same, program.f(plain["input"]), check_dtype=False)


def test_it_adapts_better_than_a_net_trained_on_pooled_tasks_for_every_seed() -> None:
    for seed in range(3):
        data, model = {"name": "sinusoids", "trials": 100, "tasks": 10}, {"name": "mlp", "widths": [40, 40]}
        rule = {"name": "adamw", "lr": 0.01}
        learnt = ts.fit(data, model, "maml", rule, steps=300, seed=seed, engine=PLAIN)
        pooled = ts.fit(data, model, "supervised", rule, steps=300, seed=seed, engine=PLAIN)
        best = min(adapted_error(pooled, rate) for rate in (0.01, 0.03, 0.1))  # the pooled net may adapt as well
        assert learnt.measures["valid"]["rmse"] < min(best, pooled.measures["valid"]["rmse"]) - 0.2


def adapted_error(star: ts.Star, rate: float) -> float:
    """RMSE on valid when the star's net takes one gradient step on the support."""
    adapting = maml(inner=star.program.method, rate=rate)
    total, count = 0.0, 0
    for batch in star.stream.batches("valid", T):
        with torch.no_grad():
            out = adapting.predict(star.program.f, batch, frozenset({"prediction"}), T)["prediction"]
        total, count = total + (out - batch["target"]).square().sum().item(), count + len(out)
    return (total / count) ** 0.5


def test_under_autocast_the_gradient_is_nearly_the_same() -> None:
    program, batch = toy({"rate": 0.1})
    single = {k: {n: v.float() for n, v in part.items()} for k, part in batch.items()}
    reseed(0)
    exact = gradient(program.float(), single)
    with torch.autocast("cpu", torch.bfloat16):
        rough = gradient(program, single)
    assert torch.cosine_similarity(exact, rough, dim=0) > 0.98


def test_new_classes_are_learnt_from_one_example_each() -> None:
    data = {"name": "episodes", "source": "digits", "ways": 2, "shots": 1, "queries": 5, "trials": 100}
    star = ts.fit(data, {"name": "mlp", "widths": [64]}, "maml", steps=100, engine=PLAIN)
    assert isinstance(star.program.f.head, nn.Linear)
    values = star.measures["valid"]["accuracy"]
    # 1,000 judged answers on classes that were never trained on; the chance level is 0.5
    assert values > 0.7


def test_data_without_tasks_are_refused() -> None:
    with pytest.raises(UserError, match="choose data=episodes"):
        ts.fit({"name": "resident", "source": "bars"}, {"name": "mlp", "widths": [4]}, "maml", steps=1)


def test_a_source_is_cut_into_tasks() -> None:
    star = ts.fit({"name": "digits", "ways": 2, "trials": 4}, {"name": "mlp", "widths": [4]}, "maml", steps=1)
    assert star.recipe.data["name"] == "episodes"
    assert star.recipe.data["source"] == {"name": "digits"}
