"""Mean teacher: its loss by hand, who moves when, and what examples without labels are worth to it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thetastar import equation
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.methods.mean_teacher import mean_teacher
from thetastar.protocols import Clock, Field, Program, Schema
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

BARS = {"name": "few_labels", "source": "bars", "labels": 16}


def assembled(data: Any = BARS, method: Any = "mean_teacher") -> tuple[Any, Program]:
    stream = open_stream(data)
    given = Recipe(data=data, model={"name": "mlp", "widths": [16]}, method=method)
    return stream, equation.assemble(completed(given, stream), stream.schema)


def perturbed(program: Program) -> mean_teacher:
    method = program.method
    assert isinstance(method, mean_teacher)
    with torch.no_grad():
        for parameter in method.teacher.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return method


def by_hand(f: Any, x: torch.Tensor) -> np.ndarray:
    """Class probabilities of one hidden layer, in float64."""
    h = ((x.double() - f.standardise.mean.double()) * f.standardise.scale.double()).flatten(1).numpy()
    for layer in (f.hidden[0], f.head):
        h = h @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
        h = np.maximum(h, 0) if layer is not f.head else h
    e = np.exp(h - h.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize(("step", "share"), [(0, math.exp(-5)), (15, math.exp(-1.25)), (30, 1.0), (80, 1.0)])
def test_the_loss_is_cross_entropy_and_ramped_consistency(step: int, share: float) -> None:
    stream, program = assembled()
    method = perturbed(program)
    t = Clock(0, step=step, steps=100)
    batch = next(stream.batches("train", t))
    got, aux = program("loss", batch, t)
    truth = batch["target"].numpy()
    labelled = -np.log(by_hand(program.f, batch["input"])[np.arange(len(truth)), truth]).mean()
    student = by_hand(program.f, batch["unlabelled"]["input"])
    teacher = by_hand(method.teacher.module, batch["unlabelled"]["view"])
    consistency = ((student - teacher) ** 2).sum(1).mean()
    np.testing.assert_allclose(aux.log["labelled"].item(), labelled, rtol=1e-5)
    np.testing.assert_allclose(aux.log["consistency"].item(), consistency, rtol=1e-4)
    np.testing.assert_allclose(got.item(), labelled + 10 * share * consistency, rtol=1e-4)


def test_the_teacher_gets_no_gradients_and_moves_in_observe_only() -> None:
    stream, program = assembled()
    method = perturbed(program)
    before = {name: value.clone() for name, value in program.state_dict().items()}
    batch, t = next(stream.batches("train", Clock(0))), Clock(0, step=500, steps=1000)
    first, aux = program.train()("loss", batch, t)
    assert torch.equal(program("loss", batch, t)[0], first)
    first.backward()
    (move,) = method.moves(program.f)
    assert {name for name, p in program.named_parameters() if p.grad is not None} == set(move.parameters)
    assert not any("teacher" in name for name in move.parameters)
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict().items())
    method.observe(program.f, {"loss": aux}, t)
    for name, value in program.f.state_dict().items():
        expected = 0.99 * before[f"method.teacher.module.{name}"] + 0.01 * value
        torch.testing.assert_close(method.teacher.module.state_dict()[name], expected, rtol=1e-5, atol=1e-7)


def test_the_teacher_is_a_plain_average_at_first() -> None:
    _, program = assembled()
    weights = program.f.head.weight
    values = [weights.detach().clone()]
    for step in range(5):
        with torch.no_grad():
            weights.normal_()
        values.append(weights.detach().clone())
        program.method.observe(program.f, {}, Clock(0, step=step, steps=100))
    got = program.method.teacher.module.head.weight
    torch.testing.assert_close(got, torch.stack(values).mean(0), rtol=1e-5, atol=1e-6)


def test_the_teacher_is_what_predicts() -> None:
    stream, program = assembled()
    method = perturbed(program)
    batch = stream.sample("valid", 20)
    out = method.predict(program.f, batch, frozenset({"logits", "probabilities", "prediction", "features"}), Clock(0))
    np.testing.assert_allclose(out["probabilities"].detach(), by_hand(method.teacher.module, batch["input"]), rtol=1e-4)
    assert torch.equal(out["prediction"], out["logits"].argmax(1))
    assert torch.equal(out["features"], method.teacher.module.features(batch["input"]))


def test_numbers_as_targets_and_data_without_unlabelled_examples_are_refused() -> None:
    with pytest.raises(UserError, match="data without unlabelled"):
        equation.fit(Recipe(data={"name": "resident", "source": "bars"}, method="mean_teacher", budget={"steps": 1}))
    with pytest.raises(UserError, match="expected classes"):
        mean_teacher().attach(None, Schema(Field("vector", (2,)), Field("number")))  # type: ignore[arg-type]


def test_examples_without_labels_help_over_the_same_labels_and_steps_without_them() -> None:
    """Two moons with eight labels: above its supervised twin, and above itself with the consistency removed."""
    scores = []
    for seed in range(10, 14):
        source = {"name": "moons", "rows": 1000, "noise": 0.05, "seed": seed}
        data = {"name": "few_labels", "source": source, "labels": 8, "valid": 0.4, "split_seed": seed}
        data["augment"] = [{"name": "noise", "std": 0.15}]
        row = []
        for method in (
            "supervised",
            {"name": "mean_teacher", "momentum": 0.95, "weight": 0.0},
            {"name": "mean_teacher", "momentum": 0.95},
        ):
            given = Recipe(
                data=data,
                model={"name": "mlp", "widths": [64, 64]},
                method=method,
                algorithm={"name": "adamw", "lr": 1e-2},
                measures=["accuracy"],
                budget={"steps": 800},
                engine={"evaluations": 0},
                seed=seed,
            )
            row.append(equation.fit(given).values["accuracy"])
        scores.append(row)
    gains = np.array(scores)[:, 2:] - np.array(scores)[:, :2]
    assert gains.min() > 0
    assert gains.mean(0).min() > 0.03


class Interrupt(Watch):
    def step(self, step: int, steps: int) -> None:
        if step == 9:
            raise KeyboardInterrupt


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    def given(**engine: Any) -> Recipe:
        model = {"name": "mlp", "widths": [16], "norm": "batch", "dropout": 0.3}
        budget, engine = {"steps": 14}, {"evaluations": 0, **engine}
        return Recipe(data=BARS, model=model, method="mean_teacher", budget=budget, engine=engine)

    straight = equation.fit(given()).program.state_dict()
    with pytest.raises(KeyboardInterrupt):
        equation.fit(given(checkpoint=1e-9), run=Run.create(tmp_path / "run"), watch=Interrupt())
    run = Run(tmp_path / "run")
    assert run.latest() is not None
    resumed = equation.fit(given(checkpoint=1e-9), run=run).program.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
