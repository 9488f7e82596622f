"""The verdict on planted quadratics and on trained nets, whose dense Hessian is computed a second way."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import Parameter

import thetastar as ts
from thetastar import registry
from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain import critical
from thetastar.explain.risk import Risk, risk_of
from thetastar.functional.curvature import flat, write
from thetastar.protocols import Aux, Clock, Move
from thetastar.recipe import Recipe
from thetastar.star import train


def planted(function: Callable[[Tensor], Tensor], at: list[float]) -> Risk:
    """A risk that is this function of its only weight."""
    x = Parameter(torch.tensor(at, dtype=torch.float64))

    def program(name: str, batch: Any, t: Clock) -> tuple[Tensor, Aux]:
        return function(x), Aux()

    return Risk(program, Move("loss", {"x": x}), [{"input": torch.zeros(3)}], Clock(0), 3, 3)  # type: ignore[arg-type]


def verdict(risk: Risk) -> critical.Judged:
    relative = critical.relative_gradient(risk.gradient(), flat(risk.weights), risk.value())
    return critical.judge(relative, critical.curvature_of(risk))


BENT = {
    "minimum": (lambda x: (x**2 * torch.tensor([1.0, 9.0, 0.1])).sum(), [0.0, 0.0, 0.0]),
    "maximum": (lambda x: 5 - x[0] ** 2 - 3 * x[1] ** 2, [0.0, 0.0]),
    "saddle": (lambda x: x[0] ** 2 - 0.01 * x[1] ** 2, [0.0, 0.0]),
    "not critical": (lambda x: (x**2).sum(), [0.0, 0.01]),
    "flat": (lambda x: x[0] * 0 + 1, [1.0, 2.0]),
}


@pytest.mark.shows("O5")
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("kind", BENT)
def test_planted_quadratics(kind: str, dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not dense:
        monkeypatch.setattr(critical, "DENSE", 0)
    assert verdict(planted(*BENT[kind])).verdict == kind


@pytest.mark.shows("O5")
def test_flat_directions_are_counted_and_said() -> None:
    found = verdict(planted(lambda x: (x[0] + x[1] - 1) ** 2 + x[2] ** 2, [0.25, 0.75, 0.0, 4.0]))
    assert found.verdict == "minimum"
    assert found.counts == {"negative": 0, "flat": 2, "positive": 2}
    assert "do not decide" in found.because
    assert "do not decide" not in verdict(planted(*BENT["minimum"])).because


def hessian_of(star: ts.Star, rows: Tensor, labels: Tensor, vectorise: bool = True) -> Tensor:
    """∇² of the cross-entropy over all weights of f, by torch's own nested differentiation in float64."""
    f = star.program.f.double()
    names = [name for name, _ in f.named_parameters()]
    shapes = [p.shape for p in f.parameters()]
    vector = flat(list(f.parameters()))

    def loss(moved: Tensor) -> Tensor:
        parts = moved.split([math.prod(shape) for shape in shapes])
        weights = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return nn.functional.cross_entropy(functional_call(f, weights, (rows,)), labels)

    found = torch.autograd.functional.hessian(loss, vector, vectorize=vectorise)
    star.program.f.float()
    return found


@pytest.fixture(scope="module")
def digits() -> ts.Star:
    return ts.fit("digits", model={"name": "mlp", "widths": [8]}, algorithm="adamw", epochs=2)


@pytest.mark.shows("O5")
def test_a_trained_net_agrees_with_torchs_hessian(digits: ts.Star, monkeypatch: pytest.MonkeyPatch) -> None:
    """610 parameters: dense in parts, then the ends by Lanczos, against one dense Hessian of the whole."""
    batch = digits.stream.examples("train")  # type: ignore[attr-defined]
    true = torch.linalg.eigvalsh(hessian_of(digits, batch["input"].double(), batch["target"]))
    risk = risk_of(digits, 5000, exact=True)
    assert (risk.used, len(risk.parts)) == (len(batch["target"]), 5)
    torch.testing.assert_close(critical.curvature_of(risk).values, true, rtol=1e-9, atol=1e-9)
    monkeypatch.setattr(critical, "DENSE", 600)
    found = critical.curvature_of(risk)
    scale = true.abs().max()
    assert abs(found.values[-1] - true[-1]) < 1e-4 * scale
    assert abs(found.values[0] - true[0]) < 1e-4 * scale
    assert abs(found.trace - true.sum()) < 4 * found.error
    assert found.steps < 100


def test_kernels_agree_with_torchs_hessian_too() -> None:
    """Newton trains a net with convolutions by the same dense Hessian."""
    model = {"name": "cnn", "channels": [2, 3], "hidden": 4}
    data = {"name": "bars", "rows": 60, "batch_size": "all"}
    star = ts.fit(data, model, algorithm="newton", steps=2)
    batch = star.stream.examples("train")  # type: ignore[attr-defined]
    true = torch.linalg.eigvalsh(hessian_of(star, batch["input"].double(), batch["target"], vectorise=False))
    found = critical.curvature_of(risk_of(star, 100, exact=True))
    torch.testing.assert_close(found.values, true, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["moco", "mean_teacher", "diffusion", "ewc", "wide_deep", "hog_linear"])
def test_other_losses_are_differentiated_in_double_precision(name: str) -> None:
    folder = "methods" if name in registry.entries("methods") else "models"
    example = registry.load(folder, name).example()  # type: ignore[attr-defined]
    risk = risk_of(train(Recipe(**{**example, "budget": {"steps": 2}})), 12, exact=True)
    assert risk.gradient().dtype == torch.float64
    d = torch.randn(risk.count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    length = 1e-6 / d.norm()
    here, slope = flat(risk.weights), risk.gradient() @ d

    def at(step: float) -> float:
        write(risk.weights, here + step * d)
        return risk.value()

    measured = (at(length.item()) - at(-length.item())) / (2 * length)
    assert measured == pytest.approx(slope.item(), rel=1e-3, abs=1e-5)


def test_looking_changes_nothing(digits: ts.Star) -> None:
    before = {name: value.clone() for name, value in digits.program.state_dict().items()}
    state = torch.default_generator.get_state()
    shown = critical.show(digits, 100)
    assert torch.equal(state, torch.default_generator.get_state())
    assert all(torch.equal(before[name], value) for name, value in digits.program.state_dict().items())
    assert shown.data["verdict"] == "not critical", "two epochs are not enough"
    assert shown.data["examples"] == {"used": 100, "of": 1168}
    assert critical.show(digits, 100).data == shown.data


@pytest.mark.shows("O5")
def test_newton_ends_in_a_minimum_that_is_flat_where_softmax_is() -> None:
    """A constant added to all logits changes nothing: one flat direction for the biases, two for the inputs."""
    data = {"name": "blobs", "spread": 1.5}
    star = ts.fit(data, "softmax", "supervised", {"name": "newton", "damping": 0.0}, steps=12)
    shown = critical.show(star)
    assert shown.data["verdict"] == "minimum", shown.data["because"]
    assert shown.data["eigenvalues"]["flat"] == 3
    assert shown.data["eigenvalues"]["negative"] == 0


def test_dropout_and_batch_norm_are_said_and_weight_decay_too() -> None:
    model = {"name": "mlp", "widths": [4], "dropout": 0.5, "norm": "batch"}
    star = ts.fit("blobs", model, algorithm={"name": "sgd", "weight_decay": 0.1}, steps=5)
    said = " ".join(risk_of(star, 10).said)
    assert "dropout is off" in said
    assert "running moments" in said
    assert "weight decay (0.1)" in said
    assert "10 of" in said
    values = {risk_of(star, 50).value() for _ in range(2)}
    assert len(values) == 1


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.5, False), (0.9, True), (0.5, True)])
def test_the_bound_on_the_rate_is_where_a_quadratic_leaves(momentum: float, nesterov: bool) -> None:
    spec = {"name": "sgd", "momentum": momentum, "nesterov": nesterov, "schedule": None}
    bound = critical.stability(registry.complete("algorithms", spec))
    assert bound is not None
    far = []
    for share in (0.98, 1.02):
        x = Parameter(torch.ones(1, dtype=torch.float64))
        move, rule = Move("loss", {"x": x}), registry.build("algorithms", {**spec, "lr": share * bound / 4.0})
        state = rule.init(move)
        for k in range(2000):
            rule.update(
                move, lambda batch, part, x=x: (2 * x.square().sum(), Aux()), [{"input": x}], state, Clock(0, k)
            )
        far.append(x.abs().item())
    assert far[0] < 1e-3, "λ = 4 stays below the bound"
    assert far[1] > 1e3, "and leaves above it"
    assert critical.stability(registry.complete("algorithms", "adamw")) is None


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"model": "knn"}, "no loss that is descended"),
        ({"data": "bars", "model": "denoiser", "method": "gan"}, "2 losses"),
        ({"model": {"name": "mlp", "widths": [4]}, "method": "population"}, "several nets"),
    ],
)
def test_runs_without_one_loss_are_refused(recipe: dict[str, Any], words: str) -> None:
    if recipe.get("method") == "gan":
        recipe = {**registry.load("methods", "gan").example(), "steps": 2}  # type: ignore[attr-defined]
        recipe.pop("budget", None)
    star = ts.fit(**{"data": "blobs", "steps": 2, **recipe})
    with pytest.raises(UserError, match=words):
        critical.show(star)


def test_a_run_that_diverged_is_refused() -> None:
    star = ts.fit("blobs", "softmax", steps=2)
    with torch.no_grad():
        next(star.program.parameters()).fill_(math.nan)
    with pytest.raises(UserError, match="not finite"):
        critical.show(star)


def test_the_command(digits: ts.Star, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits.save(tmp_path / "run")
    place = str(tmp_path / "run")
    assert main(["explain", "run", place, "critical", "--examples", "50", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["parameters"] == 610
    assert len(data["eigenvalues"]["values"]) == 610
    picture = tmp_path / "spectrum.svg"
    assert main(["explain", "run", place, "critical", "--examples", "50", "--out", str(picture)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("not critical: the relative gradient")
    assert "prefers-color-scheme: dark" in picture.read_text()
    for words, expected in (
        ([place], "one of landscape, critical, vit"),
        ([place, "critcal"], "critical"),
        ([place, "critical", place], "one run"),
        ([str(tmp_path / "nothing"), "critical"], "no run folder"),
        ([place, "critical", "--examples", "1"], "--examples"),
    ):
        assert main(["explain", "run", *words]) == 2
        error = capsys.readouterr().err
        assert expected in error
        assert len(error.strip().splitlines()) == 1
