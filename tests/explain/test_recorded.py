"""Backpropagation through a run: our tape against torch on the trained net itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thetastar import star
from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain.showing import explain


def trained(place: Path, *words: str, data: str = "blobs") -> str:
    folder = str(place / "run")
    given = ["fit", data, "--model", "mlp", "--out", folder, "budget.steps=20", *words]
    assert main(given) == 0
    return folder


@pytest.mark.shows("X2")
@pytest.mark.parametrize("activation", ["tanh", "softplus"])
def test_the_trace_is_the_forward_and_backward_pass_of_the_run(tmp_path: Path, activation: str) -> None:
    folder = trained(tmp_path, "model.widths=[5,4]", f"model.activation={activation}", "model.dropout=0.2")
    data = explain("backprop", [folder]).data
    visits: dict[str, dict[str, Any]] = {visit["name"]: visit for visit in data["visits"]}
    assert max(data["deviations"].values()) < 1e-12
    weights = {name: p.detach().double().numpy() for name, p in star.load(folder).program.f.named_parameters()}
    phi = {"tanh": np.tanh, "softplus": lambda z: np.logaddexp(0, z)}[activation]
    h = np.array(visits["X"]["value"])
    layers = [name for name in weights if name.endswith("weight")]
    for k, name in enumerate(layers, 1):
        z = h @ weights[name].T + weights[name.replace("weight", "bias")]
        assert np.array(visits[f"z{k}"]["value"]) == pytest.approx(z, abs=1e-12)
        h = phi(z)
    share = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    right = np.array(visits["t"]["local"][0]["numbers"])
    assert visits["L"]["value"] == pytest.approx(-np.log((share * right).sum(1)).mean())
    assert np.array(visits["z3"]["gradient"]) == pytest.approx((share - right) / 3, abs=1e-12)


def test_large_nets_are_clipped_on_paper_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained(tmp_path, "model.widths=[64]", "model.activation=relu", data="bars")
    drawing = tmp_path / "run.svg"
    capsys.readouterr()
    assert main(["explain", "topic", "backprop", folder, "--out", str(drawing)]) == 0
    said = capsys.readouterr().out
    assert "…" in said
    assert "(3 × 64)" in drawing.read_text()
    data = explain("backprop", [folder]).data
    assert max(data["deviations"].values()) < 1e-12
    assert "visits" not in data


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.activation=gelu"], "backprop through gelu"),
        (["model.norm=layer"], "backprop through LayerNorm"),
        (["method.loss=hinge"], "plain cross-entropy"),
        (["method.label_smoothing=0.1"], "plain cross-entropy"),
    ],
)
def test_what_the_tape_does_not_know_is_refused(tmp_path: Path, words: list[str], said: str) -> None:
    folder = trained(tmp_path, "model.widths=[4]", *words)
    with pytest.raises(UserError, match=said):
        explain("backprop", [folder])


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="runs/nowhere"):
        explain("backprop", ["runs/nowhere"])
