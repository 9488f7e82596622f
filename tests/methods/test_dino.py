"""DINO: its loss in NumPy, who moves when, what it learns, and its two ways to collapse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import erf
from tests.methods.probing import assembled, probe
from torch import nn

from thetastar import equation
from thetastar.layers.frozen import scratch
from thetastar.methods.dino import dino
from thetastar.protocols import Clock, Program
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

pytestmark = pytest.mark.shows("L3")

TINY = {"name": "mlp", "widths": [16]}
CNN = {"name": "cnn", "channels": [8, 16], "hidden": 64, "norm": "batch"}
VIT = {"name": "vit_tiny", "width": 16, "depth": 1, "heads": 2, "patch": 2}


def recipe(data: str = "bars", steps: int = 1, seed: int = 0, model: Any = TINY, **more: Any) -> Recipe:
    method = {"name": "dino", "hidden": 64, "bottleneck": 32, "outputs": 64, "momentum": 0.98}
    return Recipe(
        data={"name": "views", "source": data, **more.pop("stream", {})},
        model=model,
        method={**method, **more.pop("method", {})},
        algorithm={"name": "adamw", "lr": 6e-3},
        budget={"steps": steps},
        engine={"evaluations": 0, **more},
        seed=seed,
    )


def perturbed(program: Program) -> dino:
    """The teacher away from the student and the centre from nought, as in the middle of a run."""
    method = program.method
    assert isinstance(method, dino)
    with torch.no_grad():
        for parameter in [*method.teacher.parameters(), *method.teacher_projector.parameters()]:
            parameter.add_(0.1 * torch.randn_like(parameter))
        method.centre.normal_(0, 0.2)
    return method


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def by_hand(f: Any, projector: Any, x: torch.Tensor) -> np.ndarray:
    """A linear layer and ReLU; three linear layers with GELU between; cosines with the last rows; in float64."""
    h = ((x.double() - f.standardise.mean.double()) * f.standardise.scale.double()).flatten(1).numpy()
    h = np.maximum(h @ numbers(f.hidden[0].weight).T + numbers(f.hidden[0].bias), 0)
    for layer in projector.layers:
        if isinstance(layer, nn.Linear):
            h = h @ numbers(layer.weight).T + numbers(layer.bias)
        else:
            h = h * (1 + erf(h / math.sqrt(2))) / 2
    last = numbers(projector.last)
    return (h / np.linalg.norm(h, axis=1, keepdims=True)) @ (last / np.linalg.norm(last, axis=1, keepdims=True)).T


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("temperature", "first", "last", "step", "crops"),
    [(0.1, 0.04, 0.07, 5, 0), (0.1, 0.04, 0.07, 80, 3), (0.5, 0.2, 0.2, 0, 1), (0.2, 0.02, 0.1, 10, 0)],
)
def test_the_loss_is_cross_entropy_with_the_centred_and_sharpened_teacher(
    temperature: float, first: float, last: float, step: int, crops: int
) -> None:
    settings = {"temperature": temperature, "first_temperature": first, "teacher_temperature": last, "warmup": 0.1}
    cut = {"crops": crops, "crop_size": 4} if crops else {}
    _, stream, program = assembled(recipe(method=settings, stream=cut))
    method, batch = perturbed(program), next(stream.batches("train", Clock(0)))
    got, aux = program("loss", batch, Clock(0, step=step, steps=100))
    views = [batch["input"], batch["view"]]
    small = [batch["local"][:, place] for place in range(crops)]
    large = [nn.functional.interpolate(x, size=(8, 8), mode="bilinear") for x in small]  # a perceptron takes one size
    student = [by_hand(program.f, method.projector, x) for x in views + large]
    teacher = [by_hand(method.teacher.module, method.teacher_projector.module, x) for x in views]
    sharpness = first + min(step / 10, 1) * (last - first)
    losses = []
    for i in (0, 1):
        target = softmax((teacher[i] - numbers(method.centre)) / sharpness)
        for v in range(2 + crops):
            if v != i:
                losses.append(-(target * np.log(softmax(student[v] / temperature))).sum(1).mean())
    np.testing.assert_allclose(got.item(), np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(aux.carry["teacher"].numpy(), (teacher[0] + teacher[1]) / 2, rtol=1e-4, atol=1e-5)


def test_gradients_reach_exactly_what_is_declared_and_the_last_layer_rests_at_first() -> None:
    _, stream, program = assembled(recipe(method={"frozen": 0.2}))
    method = perturbed(program)
    (move,) = method.moves(program.f)
    for step, still in ((0, True), (50, False)):
        program.zero_grad()
        program("loss", next(stream.batches("train", Clock(0))), Clock(0, step=step, steps=100))[0].backward()
        reached = {name for name, p in program.named_parameters() if p.grad is not None}
        assert reached == set(move.parameters)
        assert not any("teacher" in name or ".head." in name for name in reached)
        assert method.projector.last.grad is not None
        assert bool(method.projector.last.grad.abs().sum() == 0) is still


def test_a_loss_writes_nothing_and_observe_moves_teacher_and_centre_by_their_formulas() -> None:
    _, stream, program = assembled(recipe())
    method = perturbed(program)
    before = {name: value.clone() for name, value in program.state_dict().items()}
    batch, t = next(stream.batches("train", Clock(0))), Clock(0, step=30, steps=120)
    first, aux = program("loss", batch, t)
    assert torch.equal(program("loss", batch, t)[0], first)
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict().items())
    method.observe(program.f, {"loss": aux}, t)
    momentum = 1 - 0.02 * (math.cos(math.pi / 4) + 1) / 2
    for name, value in program.state_dict().items():
        if name == "method.centre":
            expected = 0.9 * before[name] + 0.1 * aux.carry["teacher"].mean(0)
        elif name.startswith("method.teacher") and value.is_floating_point():
            own = name.replace("method.teacher.module.", "f.").replace("teacher_projector.module", "projector")
            expected = momentum * before[name] + (1 - momentum) * before[own]
        else:
            expected = before[name]
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7, msg=name)


def test_the_teacher_predicts_and_f_ends_as_the_teacher() -> None:
    _, stream, program = assembled(recipe())
    method, batch = perturbed(program).eval(), stream.sample("valid", 5)
    program.eval()
    out = method.predict(program.f, batch, frozenset({"features"}), Clock(0))["features"]
    torch.testing.assert_close(out, method.teacher.features(batch["input"]))
    assert not torch.equal(out, program.f.features(batch["input"]))
    method.consolidate(program.f, stream, Clock(0))
    torch.testing.assert_close(program.f.features(batch["input"]), out)


def trained(seed: int = 0, **method: Any) -> tuple[float, float, dict[str, float]]:
    """The probe before and after training, and what the gauges say at the end."""
    whole, stream, program = assembled(recipe("digits", 250, seed, CNN, method=method))
    before = probe(program, stream)
    equation.fit(whole, stream=stream, start=program)
    program.train()
    with torch.no_grad(), scratch(program):
        aux = program("loss", next(stream.batches("train", Clock(9))), Clock(0, step=1, steps=1))[1]
    return before, probe(program, stream), {name: float(value) for name, value in aux.log.items()}


def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    gains = []
    for seed in range(3):
        before, after, gauge = trained(seed)
        gains.append(after - before)
        assert gauge["spread"] > 0.6
        assert 0.4 < gauge["entropy"] < 0.95
    assert min(gains) > 0.03
    assert np.mean(gains) > 0.05


def test_without_a_centre_one_entry_dominates() -> None:
    gauge = trained(1, centre_momentum=1 - 1e-9)[2]
    assert gauge["entropy"] < 0.15
    assert gauge["spread"] < 0.6


def test_without_sharpening_all_entries_become_equal() -> None:
    gauge = trained(1, first_temperature=0.1, teacher_temperature=0.1)[2]
    assert gauge["entropy"] > 0.98
    assert gauge["spread"] < 0.35


@pytest.mark.parametrize(("norm", "warned"), [(None, True), ("batch", False), ("layer", False)])
def test_nets_that_normalise_nothing_are_warned_of(norm: str | None, warned: bool) -> None:
    method = equation.fit(recipe(model={**TINY, "norm": norm})).program.method
    assert any("normalises nothing" in line for line in method.said) is warned


class Interrupt(Watch):
    def step(self, step: int, steps: int) -> None:
        if step == 9:
            raise KeyboardInterrupt


def test_an_interrupted_run_with_a_transformer_and_crops_ends_with_the_same_bits(tmp_path: Path) -> None:
    def given(**engine: Any) -> Recipe:
        return recipe(steps=14, model=VIT, stream={"crops": 2, "crop_size": 4}, **engine)

    straight = equation.fit(given()).program.state_dict()
    with pytest.raises(KeyboardInterrupt):
        equation.fit(given(checkpoint=1e-9), run=Run.create(tmp_path / "run"), watch=Interrupt())
    run = Run(tmp_path / "run")
    assert run.latest() is not None
    resumed = equation.fit(given(checkpoint=1e-9), run=run).program.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
