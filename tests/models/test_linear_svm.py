"""The linear support vector machine finds liblinear's optimum of the same objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import hinge_loss
from sklearn.svm import LinearSVC

from thetastar import star


def objective(weight: np.ndarray, scores: np.ndarray, y: np.ndarray, decay: float) -> float:
    return hinge_loss(y, scores, labels=range(3)) + decay / 2 * np.square(weight).sum()


def test_reaches_the_optimum_of_crammer_and_singer() -> None:
    """liblinear minimises ½‖W‖² + C Σ max(0, 1 + max z_j − z_y): λ = 1/(nC)."""
    found = star.fit(
        {"name": "blobs", "spread": 1.2, "rows": 300, "valid": 0.0, "test": 0.1},
        model="linear_svm",
        algorithm={"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
        epochs=60,
        engine={"evaluations": 0},
    )
    index = torch.as_tensor(found.stream.rows["train"])
    x, y = found.stream.columns["input"][index], found.stream.columns["target"][index].numpy()
    f = found.program.f
    z = f.features(x).double().numpy()
    scores, weight = f(x).detach().double().numpy(), f.head.weight.detach().double().numpy()
    theirs = LinearSVC(C=1 / (0.01 * len(y)), multi_class="crammer_singer", intercept_scaling=5, max_iter=20_000)
    theirs.fit(z, y)
    best = objective(theirs.coef_, z @ theirs.coef_.T + theirs.intercept_, y, 0.01)
    assert objective(weight, scores, y, 0.01) == pytest.approx(best, rel=0.01)


def test_the_default_separates_digits() -> None:
    found = star.fit("digits", model="linear_svm", epochs=15, engine={"evaluations": 0})
    assert found.test()["accuracy"] > 0.95
