"""Gaussian processes equal scikit-learn's; they are sure where there are data, and say so where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from thetastar import star
from thetastar.errors import UserError


def training(found: star.Star) -> tuple[np.ndarray, np.ndarray]:
    index = torch.as_tensor(found.stream.rows["train"])
    x = found.program.f.features(found.stream.columns["input"][index]).numpy()
    return x, found.stream.columns["target"][index].double().numpy()


def test_means_and_deviations_equal_scikit_learn(tmp_path: Path) -> None:
    data = {"name": "plane", "rows": 80, "entries": 2}
    found = star.fit(data, model="gaussian_process", out=tmp_path / "run")
    kernel = ConstantKernel(1.0) * RBF(2**0.5) + WhiteKernel(1.0)
    theirs = GaussianProcessRegressor(kernel, normalize_y=True).fit(*training(found))
    x = torch.tensor(np.random.default_rng(1).standard_normal((40, 2)), dtype=torch.float32)
    mean, deviation = theirs.predict(found.program.f.features(x).numpy(), return_std=True)
    assert star.load(tmp_path / "run").predict(x) == pytest.approx(mean, abs=1e-5)
    assert star.load(tmp_path / "run").program.f.deviation(x).numpy() == pytest.approx(deviation, abs=1e-5)


def test_classes_equal_scikit_learn_and_the_integral() -> None:
    """The latent moments to 1e-5; their library's probability approximates the integral, ours is it."""
    found = star.fit({"name": "blobs", "rows": 60, "spread": 1.0}, model="gaussian_process")
    x, y = training(found)
    theirs = GaussianProcessClassifier(ConstantKernel(1.0) * RBF(2**0.5)).fit(x, y)
    new = torch.tensor(np.random.default_rng(1).standard_normal((20, 2)) * 2, dtype=torch.float32)
    rows = found.program.f.features(new).numpy()
    assert found.predict_proba(new) == pytest.approx(theirs.predict_proba(rows), abs=5e-3)
    mean, variance = (part.numpy() for part in found.program.f.latent(new, 1))
    part = theirs.base_estimator_.estimators_[1]
    k = part.kernel_(part.X_train_, rows)
    assert mean == pytest.approx(k.T @ (part.y_train_ - part.pi_), abs=1e-5)
    covariance = part.kernel_(part.X_train_) + np.diag(1 / part.W_sr_**2)
    assert variance == pytest.approx(part.kernel_.diag(rows) - (k * np.linalg.solve(covariance, k)).sum(0), abs=1e-5)
    ours = found.program.f._probability(torch.tensor(mean), torch.tensor(variance)).numpy()
    exact = [
        integrate.quad(lambda u, m=m, s=s: special.expit(m + s * u) * stats.norm.pdf(u), -10, 10, limit=200)[0]
        for m, s in zip(mean, np.sqrt(variance), strict=True)
    ]
    assert ours == pytest.approx(exact, abs=1e-5)


def test_far_from_the_data_it_says_that_it_does_not_know() -> None:
    """Between swings of a sine it is right; far outside it falls back to the mean with the full deviation."""
    random = np.random.default_rng(0)
    x = random.uniform(-3, 3, (80, 1)).astype(np.float32)
    y = np.sin(2 * x[:, 0]) + 0.05 * random.standard_normal(80)
    found = star.fit((x, y.astype(np.float32)), model="gaussian_process")
    deviation = found.program.f.deviation(torch.tensor([[0.0], [30.0]]))
    assert deviation[0] < 0.1
    assert deviation[1] > 5 * deviation[0]
    assert found.test()["rmse"] < 0.15
    far = found.predict(np.array([[30.0]], dtype=np.float32))
    assert far == pytest.approx(y[found.stream.rows["train"]].mean(), abs=1e-3), "known failure: no extrapolation"


def test_what_would_not_fit_is_refused_before_it_is_tried() -> None:
    with pytest.raises(UserError, match=r"GiB and time as their cube.*model\.most=50"):
        star.fit("blobs", model={"name": "gaussian_process", "most": 50})
    with pytest.raises(UserError, match="choose knn"):
        star.fit("topics", model="gaussian_process")
