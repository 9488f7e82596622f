"""Slices and paths of real runs: a quadratic stays one, the path is that of training, scales are shared."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import thetastar as ts
from thetastar import equation
from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain import contours, landscape
from thetastar.functional.curvature import flat
from thetastar.functional.keys import generator
from thetastar.functional.landscape import random_direction
from thetastar.watch import Watch


@pytest.fixture(scope="module")
def net() -> ts.Star:
    return ts.fit("blobs", {"name": "mlp", "widths": [6]}, algorithm={"name": "sgd", "lr": 0.05}, steps=40, seed=1)


@pytest.mark.shows("O6")
def test_squared_error_of_a_linear_model_is_its_closed_form() -> None:
    """mean((X(w + αd) + b − y)²) / σ², by NumPy, at every place of the line."""
    star = ts.fit("plane", "linear", "supervised", "adamw", steps=30)
    data = landscape.show({"plane": star}, 10_000, 3).data["runs"][0]
    batch = star.stream.examples("train")  # type: ignore[attr-defined]
    x, y = batch["input"].numpy().astype(float), batch["target"].numpy().astype(float)
    weights = list(star.program.method.moves(star.program.f)[0].parameters.values())
    direction = random_direction(weights, generator("landscape", 0))
    scale = float(star.program.method.scale)  # type: ignore[arg-type]
    with torch.no_grad():
        at = star.program.f(batch["input"]).numpy().astype(float)
        for weight, part in zip(weights, direction, strict=True):
            weight.add_(part)
        along = star.program.f(batch["input"]).numpy().astype(float) - at
    expected = [np.mean(((at + a * along - y) * scale) ** 2) for a in data["line"]["axes"][0]]
    np.testing.assert_allclose(data["line"]["losses"], expected, rtol=1e-4)
    assert len(x) == star.stream.size("train")


@pytest.mark.shows("O6")
def test_the_path_is_that_of_training(net: ts.Star) -> None:
    """Its first place is the initial weights, which the seed alone decides; its last is θ*."""
    data = landscape.show({"net": net}, 100, 3).data["runs"][0]["path"]
    assert data["same"]
    assert (data["steps"][0], data["steps"][-1]) == (0, 40)
    start = equation.assemble(net.recipe, net.schema)
    initial, end = flat(list(start.f.parameters())), flat(list(net.program.f.parameters()))
    np.testing.assert_allclose(data["places"][-1], [0, 0], atol=1e-5)
    length = np.linalg.norm(data["places"][0])
    whole = float((initial - end).norm())
    assert 0.9 * whole < length <= whole * (1 + 1e-5), "most of the way lies in the plane"
    assert data["shares"][0] >= data["shares"][1]
    assert 0.9 < sum(data["shares"]) <= 1 + 1e-9
    places = np.array(data["places"])
    for axis, values in zip(data["axes"], places.T, strict=True):
        assert axis[0] < values.min()
        assert values.max() < axis[-1]


def test_another_end_is_said(net: ts.Star) -> None:
    other = ts.Star(net.program, net.recipe.replace(seed=7), net.schema, net.source, {}, net.facts, None, net.stream)
    shown = landscape.show({"net": other}, 50, 3)
    assert not shown.data["runs"][0]["path"]["same"]
    assert "ended elsewhere" in str(shown.parts[2])


@pytest.mark.shows("O6")
def test_runs_side_by_side_share_every_scale(net: ts.Star) -> None:
    model = {"name": "mlp", "widths": [6]}
    far = ts.fit("blobs", model, algorithm={"name": "sgd", "lr": 0.3}, steps=40, seed=1)
    shown = landscape.show({"slow": net, "fast": far}, 100, 5)
    one, other = shown.data["runs"]
    assert one["path"]["axes"] == other["path"]["axes"]
    assert one["plane"]["axes"] == other["plane"]["axes"]
    alone = landscape.show({"slow": net}, 100, 5).data["runs"][0]
    assert alone["line"] == one["line"], "what stands beside a run does not change it"
    assert "slow" in shown.figure
    assert "fast" in shown.figure
    assert np.array(one["plane"]["losses"]).shape == (5, 5)
    middle = one["plane"]["losses"][2][2]
    assert middle == pytest.approx(one["loss"], rel=1e-6)
    assert one["line"]["losses"][25] == pytest.approx(one["loss"], rel=1e-6)
    across = [row[4] for row in one["plane"]["losses"]]
    assert across[2] == pytest.approx(one["line"]["losses"][-1], rel=1e-5), (
        "the first axis is the direction of the line"
    )


def test_looking_changes_nothing_and_tells_how_far_it_is(net: ts.Star) -> None:
    class Ear(Watch):
        heard: list[tuple[int, int]] = []  # noqa: RUF012

        def step(self, step: int, steps: int) -> None:
            self.heard.append((step, steps))

    before = {name: value.clone() for name, value in net.program.state_dict().items()}
    landscape.show({"net": net}, 50, 4, Ear())
    assert all(torch.equal(before[name], value) for name, value in net.program.state_dict().items())
    assert Ear.heard[-1] == (16, 16)
    assert (51, 51) in Ear.heard
    assert (40, 40) in Ear.heard


def test_shades_hold_for_flat_negative_and_broken_losses() -> None:
    """Levels rise, and a figure is drawn, where losses are all the same, below zero, or no numbers in places."""
    axis = [-1.0, 0.0, 1.0]
    for losses in (
        [[1.0] * 3] * 3,
        [[0.0] * 3] * 3,
        [[-5.0, -4.0, 2.0]] * 3,
        [[0.1, math.nan, math.inf], [1.0, 2.0, 1e30], [0.1, 0.2, 0.3]],
    ):
        plane = contours.Slice([axis, axis], losses)
        levels = contours.thresholds([plane])
        assert len(levels) == 8
        assert all(a < b for a, b in itertools.pairwise(levels))
        line = contours.Slice([axis], losses[0])
        panels = contours.Panels("a", line, plane, contours.Track(plane, [[0.5, 0.5], [0, 0]], ("first", "second")))
        assert contours.figure([panels], "what it shows").count("<path") > 10


def test_one_step_is_no_path() -> None:
    star = ts.fit("blobs", "softmax", steps=1)
    with pytest.raises(UserError, match="at least 2"):
        landscape.show({"one": star})


def test_the_command(net: ts.Star, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        net.save(tmp_path / name / "seed-0")
    places = [str(tmp_path / name / "seed-0") for name in ("a", "b")]
    picture = tmp_path / "both.html"
    words = ["explain", "run", places[0], "landscape", places[1], "--grid", "3", "--examples", "20"]
    assert main([*words, "--out", str(picture)]) == 0
    out = capsys.readouterr().out
    assert out.count("ended in the same bits") == 2
    assert "prefers-color-scheme: dark" in picture.read_text()
    assert main([*words, "--json"]) == 0
    names = [run["run"] for run in json.loads(capsys.readouterr().out)["runs"]]
    assert names == places, "folders of one name are told apart"
    assert main([*words[:4], "--grid", "2"]) == 2
    assert "--grid" in capsys.readouterr().err
