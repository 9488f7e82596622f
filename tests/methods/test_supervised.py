"""The empirical risk: which losses fit which targets, class weights, smoothing, the Gaussian view of squared error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from thetastar import star
from thetastar.defaults import open_stream
from thetastar.equation import assemble
from thetastar.errors import UserError
from thetastar.methods.supervised import supervised
from thetastar.protocols import Clock, Program, Stream
from thetastar.recipe import Recipe


def opened(data: Any, method: dict[str, Any]) -> tuple[Program, Stream]:
    stream = open_stream(data)
    model = {"name": "mlp", "widths": [8]}
    return assemble(Recipe(data=data, model=model, method={"name": "supervised", **method}), stream.schema), stream


def labels() -> dict[str, Any]:
    x = np.random.default_rng(0).random((60, 3)).astype(np.float32)
    return {"name": "arrays", "inputs": x, "targets": (x > 0.5).astype(np.int64)}


@pytest.mark.parametrize(
    ("data", "loss", "says"),
    [
        ("blobs", "squared", "loss squared with a target of kind category; expected one of cross_entropy"),
        ("blobs", "binary_cross_entropy", "choose cross_entropy"),
        ("plane", "cross_entropy", "expected one of squared, absolute, huber, gaussian_nll; choose squared"),
        (labels(), "kl", "choose binary_cross_entropy"),
    ],
)
def test_a_loss_that_does_not_fit_the_target_is_refused_in_one_line(data: Any, loss: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as error:
        opened(data, {"loss": loss})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "method", "says"),
    [
        ("plane", {"class_weights": "balanced"}, "set class_weights=none"),
        (labels(), {"class_weights": "balanced"}, "set class_weights=none"),
        ("plane", {"label_smoothing": 0.1}, "label_smoothing with loss squared"),
        ("blobs", {"label_smoothing": 0.1, "loss": "hinge"}, "label_smoothing with loss hinge"),
    ],
)
def test_options_that_mean_nothing_are_refused(data: Any, method: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        opened(data, method)


FITTING = [
    ("blobs", ("cross_entropy", "kl", "hinge", "perceptron", "exponential", "logistic")),
    (labels(), ("binary_cross_entropy", "hinge", "perceptron", "exponential", "logistic")),
    ("plane", ("squared", "absolute", "huber", "gaussian_nll")),
]


@pytest.mark.parametrize(("data", "loss"), [(data, loss) for data, names in FITTING for loss in names])
def test_every_fitting_loss_can_be_learnt_by(data: Any, loss: str) -> None:
    """Gradient descent by any of them beats the trivial predictor on training data."""
    measure = {"name": "r2"} if data == "plane" else {"name": "f1"}
    found = star.fit(
        data,
        model={"name": "mlp", "widths": [16]},
        method={"name": "supervised", "loss": loss},
        algorithm={"name": "adamw", "lr": 0.02},
        measures=[measure],
        steps=60,
        engine={"evaluations": 0},
    )
    assert found.evaluate("train")[0][measure["name"]] > 0.7


def test_balanced_weights_by_hand() -> None:
    """Ten, thirty and sixty examples weigh 100/(3·10), 100/(3·30), 100/(3·60); also where targets are mixed."""
    x = np.random.default_rng(0).standard_normal((100, 2)).astype(np.float32)
    y = np.repeat([0, 1, 2], [10, 30, 60])
    data = {"name": "arrays", "inputs": x, "targets": y, "given": {"train": np.arange(100), "valid": [], "test": []}}
    program, _ = opened(data, {"class_weights": "balanced"})
    weights = np.array([100 / 30, 100 / 90, 100 / 180])
    batch = {"input": torch.tensor(x), "target": torch.tensor(y)}
    value, aux = program.method.loss(program.f, batch, Clock(0))
    each = F.cross_entropy(program.f(batch["input"]), batch["target"], reduction="none").detach().numpy()
    assert value.item() == pytest.approx((weights[y] * each).sum() / weights[y].sum(), rel=1e-5)
    assert aux.weight.item() == pytest.approx(weights[y].sum(), rel=1e-5)
    mixed = {**batch, "target": F.one_hot(batch["target"], 3).float()}
    assert program.method.loss(program.f, mixed, Clock(0))[0].item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "hinge", "perceptron", "exponential", "logistic"])
def test_mixed_targets_cost_the_mixture_of_the_costs(loss: str) -> None:
    program, _ = opened("blobs", {"loss": loss})
    method, z = program.method, torch.randn(6, 3)
    one, other = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([1, 1, 0, 2, 0, 2])
    mixed = 0.3 * F.one_hot(one, 3) + 0.7 * F.one_hot(other, 3)
    costs = 0.3 * method.per_example(z, one) + 0.7 * method.per_example(z, other)
    assert torch.allclose(method.per_example(z, mixed), costs, atol=1e-6)


def test_balanced_weights_raise_the_recall_of_a_rare_class() -> None:
    random = np.random.default_rng(1)
    y = np.repeat([0, 1], [570, 30])
    x = (random.standard_normal((600, 2)) + 1.2 * y[:, None]).astype(np.float32)

    def recall(class_weights: str) -> float:
        found = star.fit(
            (x, y),
            model={"name": "mlp", "widths": []},
            method={"name": "supervised", "class_weights": class_weights},
            algorithm={"name": "adamw", "lr": 0.05},
            measures=["balanced_accuracy"],
            steps=100,
            engine={"evaluations": 0},
        )
        return found.evaluate("train")[0]["balanced_accuracy"]

    assert recall("balanced") > recall("none") + 0.1


def test_smoothing_keeps_logits_from_growing() -> None:
    """On separable data cross-entropy drives p(y) to 1; with smoothing s its optimum is 1 − s + s/3."""

    def confidence(smoothing: float) -> float:
        found = star.fit(
            {"name": "blobs", "spread": 0.1},
            model={"name": "mlp", "widths": [16]},
            method={"name": "supervised", "label_smoothing": smoothing},
            algorithm={"name": "adamw", "lr": 0.02, "weight_decay": 0.0},
            steps=250,
            engine={"evaluations": 0},
        )
        points = next(found.stream.batches("valid", Clock(0)))["input"]
        return float(found.predict_proba(points).max(1).mean())

    assert confidence(0.0) > 0.99
    assert confidence(0.3) == pytest.approx(0.8, abs=0.03)


def test_the_gaussian_view_finds_the_noise() -> None:
    """At the maximum of the likelihood σ̂² is the mean squared error, and f is that of squared error."""
    found = star.fit(
        {"name": "plane", "rows": 600, "noise": 0.5},
        model="linear",
        method={"name": "supervised", "loss": "gaussian_nll"},
        algorithm={"name": "adamw", "lr": 0.05, "weight_decay": 0.0},
        steps=400,
        measures=["mse"],
        engine={"evaluations": 0},
    )
    method = found.program.method
    assert isinstance(method, supervised)
    variance = math.exp(method.log_variance.item()) / method.scale.item() ** 2
    assert variance == pytest.approx(found.evaluate("train")[0]["mse"], rel=0.05)
    assert variance == pytest.approx(0.25, rel=0.15)


def test_numbers_are_compared_in_units_of_their_deviation() -> None:
    """Targets a million times as large give the same loss."""
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)

    def first_loss(scale: float) -> float:
        program, stream = opened({"name": "arrays", "inputs": x, "targets": x.sum(1) * scale}, {})
        return program.method.loss(program.f, next(stream.batches("train", Clock(0))), Clock(0))[0].item()

    assert first_loss(1e6) == pytest.approx(first_loss(1.0), rel=1e-4)
