"""The activations topic: its table says what the functions are known for, and what was measured is said to be."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain.showing import explain
from thetastar.functional.activations import ACTIVATIONS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def facts() -> dict[str, dict[str, Any]]:
    return {fact["name"]: fact for fact in explain("activations", []).data["activations"]}


@pytest.mark.shows("F6")
def test_range_and_steepest_slope(facts: dict[str, dict[str, Any]]) -> None:
    inf, selu = math.inf, 1.0507009873554805 * 1.6732632423543772
    expected = {  # least, largest, largest derivative
        "relu": (0, inf, 1),
        "leaky_relu": (-inf, inf, 1),
        "elu": (-1, inf, 1),
        "selu": (-selu, inf, selu),
        "gelu": (-0.16997, inf, 1.12890),
        "silu": (-0.27846, inf, 1.09984),
        "mish": (-0.30884, inf, 1.08850),
        "hardswish": (-0.375, inf, 1.5),
        "softplus": (0, inf, 1),
        "sigmoid": (0, 1, 0.25),
        "tanh": (-1, 1, 1),
        "softmax τ=2": (0, 1, 0.125),
    }
    for name, numbers in expected.items():
        fact = facts[name]
        assert (fact["least"], fact["largest"], fact["steepest"]) == pytest.approx(numbers, abs=1e-4), name


@pytest.mark.shows("F6")
def test_saturation(facts: dict[str, dict[str, Any]]) -> None:
    """σ′ = 0.01 where σ = (1 ± √0.96) / 2; 1 − tanh² = 0.01 where tanh = √0.99; eˣ = 0.01 at log 0.01."""
    edge = math.log((1 + math.sqrt(0.96)) / (1 - math.sqrt(0.96)))
    places = {
        "relu": (0, None),
        "leaky_relu": (None, None),
        "elu": (math.log(0.01), None),
        "sigmoid": (-edge, edge),
        "tanh": (-math.atanh(math.sqrt(0.99)), math.atanh(math.sqrt(0.99))),
        "softplus": (math.log(0.01 / 0.99), None),
        "hardswish": (-3, None),
    }
    assert facts["relu"]["flat_below"] == 0
    for name, (below, above) in places.items():
        fact = facts[name]
        assert fact["flat_below"] == (None if below is None else pytest.approx(below, abs=0.011)), name
        assert fact["flat_above"] == (None if above is None else pytest.approx(above, abs=0.011)), name


def test_mean_output(facts: dict[str, dict[str, Any]]) -> None:
    """E relu(z) = 1 / √(2π) and E z Φ(z) = 1 / (2√π) for z ~ N(0, 1); odd functions and selu are centred."""
    assert facts["relu"]["mean"] == pytest.approx(1 / math.sqrt(2 * math.pi), abs=1e-5)
    assert facts["gelu"]["mean"] == pytest.approx(1 / (2 * math.sqrt(math.pi)), abs=1e-5)
    assert facts["tanh"]["mean"] == pytest.approx(0, abs=1e-12)
    assert facts["selu"]["mean"] == pytest.approx(0, abs=1e-4)
    assert facts["sigmoid"]["mean"] == pytest.approx(0.5, abs=1e-9)


def test_costs_are_relative_to_relu(facts: dict[str, dict[str, Any]]) -> None:
    assert facts["relu"]["cost"] == 1
    assert all(fact["cost"] > 0 for fact in facts.values())
    assert set(facts) == {*ACTIVATIONS, "softmax τ=0.5", "softmax τ=1", "softmax τ=2"} - {"identity"}


def test_some_alone_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "curves.svg"
    assert main(["explain", "topic", "activations", "gelu", "tanh", "--out", str(place)]) == 0
    said = capsys.readouterr().out
    assert "measured on this machine" in said
    assert "x < −3" in said
    assert "relu " not in said
    drawing = ET.fromstring(place.read_text())
    words = {element.text for element in drawing.iter(f"{SVG}text")}
    assert {"gelu", "tanh", "φ", "φ′"} <= words
    assert "NaN" not in place.read_text()
    assert main(["explain", "topic", "activations", "gelu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["activations"][0]["largest"] is None  # infinite


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="did you mean 'gelu'"):
        explain("activations", ["gleu"])
