"""The optimiser topic: both steps of every rule recomputed in NumPy, and paths that do what the rules are known for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from thetastar import registry
from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain.showing import explain

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    return explain("optimiser-step", []).data


def by_hand(place: Array, one: Array, two: Array) -> dict[str, list[Array]]:
    """Δθ of both steps at the defaults, from the formulas; λ = 0.01 of adamw and muon acts on the place of the step."""
    found: dict[str, list[Array]] = {
        "sgd momentum=0": [-0.1 * one, -0.1 * two],
        "sgd": [-0.1 * one, -0.1 * (0.9 * one + two)],
        "sgd nesterov=true": [-0.1 * 1.9 * one, -0.1 * (two + 0.9 * (0.9 * one + two))],
        "adagrad": [-0.01 * np.sign(one), -0.01 * two / np.sqrt(one**2 + two**2)],
        "rmsprop": [-0.01 * np.sign(one), -0.001 * two / np.sqrt(0.0099 * one**2 + 0.01 * two**2)],
    }
    mean = (0.9 * 0.1 * one + 0.1 * two) / (1 - 0.9**2)
    square = (0.999 * 0.001 * one**2 + 0.001 * two**2) / (1 - 0.999**2)
    adam = [-0.001 * np.sign(one), -0.001 * mean / np.sqrt(square)]
    found["adam"] = adam
    after = place * (1 - 1e-5) + adam[0]
    found["adamw"] = [adam[0] - 1e-5 * place, adam[1] - 1e-5 * after]
    s, u = 0.1 * one**2, np.zeros(2)
    first = one * np.sqrt(u + 1e-6) / np.sqrt(s + 1e-6)
    s, u = 0.9 * s + 0.1 * two**2, 0.1 * first**2
    found["adadelta"] = [-first, -two * np.sqrt(u + 1e-6) / np.sqrt(s + 1e-6)]
    return found


@pytest.mark.shows("X2")
def test_both_steps_are_those_of_the_formulas(shown: dict[str, Any]) -> None:
    rules = {rule["label"]: rule for rule in shown["rules"]}
    one, two = map(np.array, shown["gradients"])
    for label, changes in by_hand(np.array(shown["place"]), one, two).items():
        for step, change, gradient in zip(rules[label]["steps"], changes, (one, two), strict=True):
            assert step["change"] == pytest.approx(change, rel=1e-6), label
            assert step["length"] == pytest.approx(np.linalg.norm(change), rel=1e-6), label
            cosine = -change @ gradient / np.linalg.norm(change) / np.linalg.norm(gradient)
            assert step["cosine"] == pytest.approx(cosine, abs=1e-6), label


@pytest.mark.shows("X2")
def test_steps_of_the_others(shown: dict[str, Any]) -> None:
    """Newton solves with the Hessian; L-BFGS begins down the gradient; muon's step has a length of its own."""
    rules = {rule["label"]: rule for rule in shown["rules"]}
    h = np.array(shown["hessian"])
    for step, gradient in zip(rules["newton"]["steps"], shown["gradients"], strict=True):
        damped = h + 1e-3 * np.eye(2)
        assert step["change"] == pytest.approx(-np.linalg.solve(damped, gradient), rel=1e-6)
    assert rules["lbfgs"]["steps"][0]["cosine"] == pytest.approx(1)
    one, two = map(np.array, shown["gradients"])
    place, momentum = np.array(shown["place"]), 0.0 * one
    for step, gradient in zip(rules["muon"]["steps"], (one, two), strict=True):
        momentum = 0.95 * momentum + gradient
        ahead = gradient + 0.95 * momentum
        direction = -(np.array(step["change"]) + 1e-5 * place) / (1e-3 * 0.2 * np.sqrt(2))
        assert direction / np.linalg.norm(direction) == pytest.approx(ahead / np.linalg.norm(ahead), abs=1e-6)
        assert 0.6 < np.linalg.norm(direction) < 1.3  # Newton–Schulz makes singular values about one
        place = place + step["change"]


def test_every_algorithm_is_there(shown: dict[str, Any]) -> None:
    names = {rule["spec"]["name"] for rule in shown["rules"]}
    assert names == set(registry.entries("algorithms"))
    assert set(shown["paths"]) == {rule["label"] for rule in shown["rules"]}
    assert all(rule["formula"] for rule in shown["rules"])


def test_paths(shown: dict[str, Any]) -> None:
    h = np.array(shown["hessian"])
    assert np.linalg.eigvalsh(h) == pytest.approx([1, 20])
    for label, path in shown["paths"].items():
        assert len(path["points"]) == 16, label
        points = np.array(path["points"])
        assert np.einsum("ni,ij,nj->n", points, h, points) / 2 == pytest.approx(path["values"], rel=1e-9, abs=1e-30)
        assert path["values"][-1] < 0.2 * path["values"][0], label
    assert shown["paths"]["newton"]["values"][1] < 1e-4  # the minimum at once, but for the damping
    assert shown["paths"]["lbfgs"]["values"][-1] < 1e-12
    plain = shown["paths"]["sgd momentum=0"]  # θ ← (I − ηH) θ
    ways = np.linalg.matrix_power(np.eye(2) - plain["lr"] * h, 15) @ plain["points"][0]
    assert plain["points"][-1] == pytest.approx(ways, abs=1e-12)
    assert plain["lr"] < 2 / 20


def test_some_alone_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "topic", "optimiser-step", "newton", "lbfgs"]) == 0
    said = capsys.readouterr().out
    assert "newton: θ ← θ − t (|H| + δI)⁻¹ g" in said
    assert "adam" not in said


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="did you mean 'adam'"):
        explain("optimiser-step", ["adma"])
