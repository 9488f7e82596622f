"""The Jacobian topic: softmax, functions with a closed form, models, and mistakes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar import registry
from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain.showing import explain
from thetastar.functional.activations import ACTIVATIONS
from thetastar.protocols import Field, Schema


@pytest.mark.shows("F9")
def test_softmax() -> None:
    data = explain("jacobian", ["softmax", "1,2,-0.5"]).data
    p = np.exp([1, 2, -0.5]) / np.exp([1, 2, -0.5]).sum()
    for way in ("numeric", "automatic", "analytic"):
        assert np.array(data[way]) == pytest.approx(np.diag(p) - np.outer(p, p), abs=1e-9)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "normalise", *ACTIVATIONS])
def test_three_ways_agree(name: str) -> None:
    data = explain("jacobian", [name, "0.3,-1.2,2,0.7"]).data
    assert data["deviations"]["numeric"] < 1e-6
    assert data["deviations"]["analytic"] < 1e-12
    assert np.abs(data["automatic"]).max() > 0.01


def test_of_a_model() -> None:
    data = explain("jacobian", ["wide_deep"]).data
    assert np.array(data["automatic"]).shape == (2, 3)
    assert data["deviations"]["numeric"] < 1e-6


def test_a_net_is_differentiated_as_it_is_initialised() -> None:
    before = torch.random.get_rng_state()
    found = explain("jacobian", ["mlp", "1,0"]).data
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(0)
    model = registry.build("models", "mlp", Schema(Field("vector", (2,)), Field("category", (), classes=2))).double()
    model.eval()
    at = torch.tensor([[1.0, 0.0]]).double()
    assert found["value"] == pytest.approx(model(at)[0].tolist(), abs=1e-12)
    one, two, last = (layer for layer in model.modules() if isinstance(layer, torch.nn.Linear))
    first = one(at)[0]
    second = two(first.relu())
    by_hand = last.weight @ ((second > 0)[:, None] * two.weight) @ ((first > 0)[:, None] * one.weight)
    assert np.array(found["automatic"]) == pytest.approx(by_hand.detach().numpy(), abs=1e-12)


def test_a_kink_is_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "topic", "jacobian", "relu", "0,1"]) == 0
    assert "the function has a kink at x" in capsys.readouterr().out
    assert main(["explain", "topic", "jacobian"]) == 0
    assert "kink" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["softmaxx"], "did you mean 'softmax'"),
        (["softmax", "1,x"], "1 to 8 numbers"),
        (["softmax", "1,2,3,4,5,6,7,8,9"], "1 to 8 numbers"),
        (["softmax", "1", "2"], "leave the rest out"),
        (["normalise", "0,0"], "no derivative at 0,0"),
        (["knn"], "a model with derivatives"),
        (["cnn"], "cnn on vector inputs"),
    ],
)
def test_mistakes_are_named(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        explain("jacobian", words)
