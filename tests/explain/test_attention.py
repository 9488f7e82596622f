"""The attention topic, beside NumPy; and mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain.showing import explain

pytestmark = pytest.mark.shows("X2")


@pytest.mark.parametrize("mask", ["none", "causal"])
def test_every_step_by_hand(mask: str) -> None:
    shown = explain("attention", [f"mask={mask}"])
    data = {name: np.array(entry) for name, entry in shown.data.items() if isinstance(entry, list)}
    for name in "QKV":
        assert data[name] == pytest.approx(data["X"] @ data[f"W_{name}"])
    scores = data["Q"] @ data["K"].T / np.sqrt(2)
    if mask == "causal":
        scores[np.triu_indices(4, 1)] = -np.inf
    assert data["S"] == pytest.approx(scores)
    weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert data["A"] == pytest.approx(weights)
    assert data["Y"] == pytest.approx(weights @ data["V"])
    assert shown.data["deviation"] < 1e-12
    assert (mask == "causal") == ("−∞" in shown.figure)


def test_the_line_by_hand_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "topic", "attention"]) == 0
    said = capsys.readouterr().out
    assert "(1·−0.5 + 3·1.25) / √2 = 2.298" in said
    assert "W_Q = [1 0; 0 1; 0.5 −0.5; 1 1]" in said
    assert "   cat  2.298   1.768   1.414  −1.414" in said


@pytest.mark.parametrize("words", [["mask=none", "x"], ["mask=caused"], ["heads=2"]])
def test_mistakes_are_named(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"mask|causal"):
        explain("attention", words)
