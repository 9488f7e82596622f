"""One step of every algorithm on a run: lengths and angles that the formulas fix, and a run that stays as it was."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from thetastar import registry, star
from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain.risk import risk_of
from thetastar.explain.showing import explain
from thetastar.functional.curvature import flat, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("stepping") / "run")
    words = ["model.widths=[4]", "model.activation=tanh", "budget.steps=20"]
    assert main(["fit", "blobs", "--model", "mlp", "--out", place, *words]) == 0
    return place


@pytest.mark.shows("X2")
def test_steps_on_the_gradient_of_a_run(folder: str) -> None:
    data = explain("optimiser-step", [folder]).data
    steps: dict[str, dict[str, Any]] = {step["rule"]: step for step in data["steps"]}
    assert {name.split()[0] for name in steps} == set(registry.entries("algorithms"))
    risk = risk_of(star.load(folder), 250, exact=True)
    start, gradient = flat(risk.weights), risk.gradient()
    size, count = start.norm().item(), len(start)
    assert data["gradient_norm"] == pytest.approx(gradient.norm().item())
    for name, share in (("sgd momentum=0", 0.1), ("sgd", 0.1), ("sgd nesterov=true", 0.19)):
        assert steps[name]["cosine"] == pytest.approx(1)
        assert steps[name]["length"] == pytest.approx(share * gradient.norm().item() / size)
        write(risk.weights, start - share * gradient)
        assert steps[name]["loss"] == pytest.approx(risk.value())
    signs = gradient.sign()
    for name, entry in (("adam", 0.001), ("adagrad", 0.01), ("rmsprop", 0.01)):
        assert steps[name]["length"] == pytest.approx(entry * math.sqrt(count) / size, rel=1e-3)
        angle = (signs @ gradient / gradient.norm() / math.sqrt(count)).item()
        assert steps[name]["cosine"] == pytest.approx(angle, rel=1e-3)
    assert steps["newton"]["loss"] < data["loss"]
    assert steps["lbfgs"]["loss"] < data["loss"]


def test_the_run_stays_as_it_was(folder: str) -> None:
    before = {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
    first, again = (explain("optimiser-step", [folder, "adam", "sgd"]).data for _ in range(2))
    assert first == again
    assert {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()} == before


def test_newton_is_left_out_where_it_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(tmp_path / "run")
    assert main(["fit", "blobs", "--model", "mlp", "--out", place, "model.widths=[2000]", "budget.steps=1"]) == 0
    capsys.readouterr()
    assert main(["explain", "topic", "optimiser-step", place, "newton", "sgd"]) == 0
    assert "left out, newton: newton on 1" in capsys.readouterr().out
    data = explain("optimiser-step", [place, "newton", "sgd"]).data
    assert [step["rule"] for step in data["steps"]] == ["sgd momentum=0", "sgd", "sgd nesterov=true"]


def test_mistakes_are_named(folder: str) -> None:
    with pytest.raises(UserError, match="did you mean 'adam'"):
        explain("optimiser-step", [folder, "adma"])
    with pytest.raises(UserError, match="runs/nowhere"):
        explain("optimiser-step", ["runs/nowhere"])
