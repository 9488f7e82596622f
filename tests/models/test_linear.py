"""Linear regression and softmax regression: sizes, temperature, and scikit-learn's optimum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from thetastar import registry, star
from thetastar.errors import UserError
from thetastar.protocols import Clock, Field, Schema

IMAGE = Field("image", (1, 28, 28), mean=(0.1,), std=(0.3,))
TEN = Schema(IMAGE, Field("category", (), 10))


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [("softmax", 7_850), ("mlp", 535_818), ("cnn", 421_642), ("linear_svm", 7_850), ("perceptron", 7_850)],
)
def test_parameters_on_mnist(spec: str, parameters: int) -> None:
    f = registry.build("models", spec, TEN)
    assert sum(p.numel() for p in f.parameters()) == parameters


def test_temperature_divides_the_logits() -> None:
    x = torch.rand(5, 1, 28, 28)
    warm, cold = (
        registry.build("models", {"name": "softmax", "temperature": 2.0}, TEN),
        registry.build("models", "softmax", TEN),
    )
    cold.load_state_dict(warm.state_dict())
    assert torch.allclose(warm(x), cold(x) / 2)
    entropy = [torch.special.entr(torch.softmax(f(x), -1)).sum() for f in (warm, cold)]
    assert entropy[0] > entropy[1]


def test_a_target_that_makes_no_sense_is_refused() -> None:
    number = Schema(IMAGE, Field("number"))
    for name in ("softmax", "perceptron", "linear_svm"):
        with pytest.raises(UserError, match="choose linear"):
            registry.build("models", name, number)
    with pytest.raises(UserError, match="choose softmax"):
        registry.build("models", "linear", TEN)


@pytest.mark.shows("F2")
def test_equals_logistic_regression_at_the_same_penalty_on_digits() -> None:
    """min Σ ℓᵢ + ½‖W‖² (C = 1) is min mean ℓ + (1/2n)‖W‖²: λ = 1/n, the bias free; the whole split is one batch."""
    data = {"name": "digits", "batch_size": 10_000}
    rows = 1168
    found = star.fit(
        data,
        model="softmax",
        algorithm={"name": "lbfgs", "weight_decay": 1 / rows},
        steps=300,
        engine={"evaluations": 0},
    )
    columns = found.stream.columns
    index = {split: torch.as_tensor(found.stream.rows[split]) for split in ("train", "test")}
    assert len(index["train"]) == rows
    z = {split: found.program.f.features(columns["input"][i]).double().numpy() for split, i in index.items()}
    y = {split: columns["target"][i].numpy() for split, i in index.items()}
    theirs = LogisticRegression(C=1.0, max_iter=2000, tol=1e-7).fit(z["train"], y["train"])
    expected = log_loss(y["test"], theirs.predict_proba(z["test"]))
    assert found.test()["nll"] == pytest.approx(expected, rel=1e-3)


def test_logits_far_from_zero_stay_finite() -> None:
    """log-sum-exp is taken stably: weights of 1e4 give a finite loss and the right gradient sign."""
    found = star.fit("digits", model="softmax", steps=1)
    with torch.no_grad():
        found.program.f.head.weight.mul_(1e5)
    batch = next(found.stream.batches("valid", Clock(0)))
    loss, _ = found.program.method.loss(found.program.f, batch, Clock(0))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(found.program.f.head.weight.grad).all()
    assert np.isfinite(found.predict_proba(batch["input"]).sum())
