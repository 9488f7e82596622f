"""The backpropagation topic: its trace is what a hand computes, its gradients agree, its drawing has no overlaps."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain.graph import arranged
from thetastar.explain.showing import explain
from thetastar.explain.topics import backprop
from thetastar.explain.tracing import graph_of
from thetastar.functional.tape import Value, backpropagate

CASES = list(itertools.product(backprop.WORDS["activation"], backprop.WORDS["loss"]))


def visits(*words: str) -> dict[str, Any]:
    return {visit["name"]: visit for visit in explain("backprop", list(words)).data["visits"]}


@pytest.mark.shows("F9")
def test_the_trace_is_the_one_by_hand() -> None:
    """Rectified units and squared errors: every number is a short decimal."""
    found = visits("activation=relu", "loss=squared")
    a1, w2 = [[0.2, 0, 1], [0.35, 0.3, 0]], [[0.2, -0.5], [-0.4, 0.3], [0.6, 0.1]]
    error = np.array([[-0.36, 0.2], [-0.05, -0.885]])
    for name, value in {
        "z1": [[0.2, -1, 1], [0.35, 0.3, -0.15]],
        "a1": a1,
        "z2": [[0.64, 0.2], [-0.05, 0.115]],
        "L": 0.23883125,
        "P": 0.0775,
        "R": 0.31633125,
    }.items():
        assert np.array(found[name]["value"]) == pytest.approx(np.array(value), abs=1e-12), name
    to_a1 = error / 2 @ np.transpose(w2)
    for name, gradient in {
        "z2": error / 2,
        "b2": [-0.205, -0.3425],
        "W2": np.transpose(a1) @ error / 2 + 0.1 * np.array(w2),
        "z1": to_a1 * [[1, 0, 1], [1, 1, 0]],
        "b1": [-0.086 + 0.21625, -0.12275, -0.098],
    }.items():
        assert np.array(found[name]["gradient"]) == pytest.approx(np.array(gradient), abs=1e-12), name
    assert found["a1"]["local"][0]["numbers"] == [[1, 0, 1], [1, 1, 0]]


def test_softmax_and_cross_entropy_hand_back_their_difference() -> None:
    found = visits()
    z2 = np.array(found["z2"]["value"])
    share = np.exp(z2) / np.exp(z2).sum(1, keepdims=True)
    assert np.array(found["z2"]["gradient"]) == pytest.approx((share - backprop.Y) / 2)
    assert np.array(found["s"]["local"][0]["numbers"]) == pytest.approx(share)


@pytest.mark.shows("F9")
@pytest.mark.parametrize(("activation", "loss"), CASES)
def test_the_gradients_agree_on_a_net_with_a_penalty(activation: str, loss: str) -> None:
    data = explain("backprop", [f"activation={activation}", f"loss={loss}", "penalty=0.3"]).data
    assert data["deviations"]["numeric"] < 1e-6
    assert data["deviations"]["analytic"] < 1e-12
    assert data["deviations"]["this graph"] < 1e-12
    assert max(map(abs, data["gradients"]["automatic"].values())) > 0.1


def test_a_visit_comes_after_all_that_used_the_value() -> None:
    data = explain("backprop", []).data["visits"]
    turn = {visit["name"]: i for i, visit in enumerate(data)}
    assert all(turn[local["of"]] > turn[visit["name"]] for visit in data for local in visit["local"])
    assert data[0]["name"] == "R"
    assert data[0]["gradient"] == 1


@pytest.mark.parametrize(("activation", "loss"), CASES)
def test_nothing_in_the_drawing_overlaps(activation: str, loss: str) -> None:
    leaves = {name: Value(value, name) for name, value in backprop.PARAMETERS.items()}
    risk = backprop.network(leaves, activation, loss, 0.1)
    boxes, arrows = graph_of(backpropagate(risk))
    layout = arranged(boxes, arrows)
    places = [*layout.boxes.values(), *layout.labels]
    for one, two in itertools.combinations(places, 2):
        assert not one.touches(two)
    for place in places:
        assert place.width / 2 <= place.x <= layout.width - place.width / 2
        assert place.height / 2 <= place.y <= layout.height - place.height / 2
    for arrow, points in zip(arrows, layout.routes, strict=True):
        assert layout.boxes[arrow.source].x < layout.boxes[arrow.target].x
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        level = [(a, b) for a, b in itertools.pairwise(points) if a[1] == b[1]]
        for (x0, y), (x1, _) in level:  # where a long arrow passes a column
            for name, box in layout.boxes.items():
                beside = x1 <= box.x - box.width / 2 or x0 >= box.x + box.width / 2
                assert beside or abs(y - box.y) > box.height / 2, f"an arrow runs through {name}"


def test_every_local_derivative_is_printed_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "graph.svg"
    assert main(["explain", "topic", "backprop", "--out", str(place)]) == 0
    printed = capsys.readouterr().out
    drawing = ET.fromstring(place.read_text())
    words = [element.text or "" for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    for visit in visits().values():
        assert visit["name"] in words
        for local in visit["local"]:
            assert f"∂{visit['name']}/∂{local['of']} = {local['is']}" in printed
            assert local["is"] in words
    assert "prefers-color-scheme:dark" in place.read_text()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("activation=tahn", "did you mean 'tanh'"),
        ("depth=3", "backprop with 'depth=3'"),
        ("loss", "write loss="),
        ("penalty=-1", "from 0 to 10"),
        ("penalty=nan", "from 0 to 10"),
        ("penalty=much", "write it with digits"),
    ],
)
def test_mistakes_are_named(word: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        explain("backprop", [word])


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "topic", "backprop", "penalty=0", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["visits"][0]["value"] == pytest.approx(0.4671, abs=1e-4)
