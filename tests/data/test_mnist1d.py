"""MNIST-1D follows the published procedure, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from thetastar.data.mnist1d import distorted, mnist1d, resampling, templates
from thetastar.defaults import open_stream


def by_hand(x, padding, scale, shift, correlated, white, slope):
    """One signal, step by step, as the paper tells it."""
    padded = np.concatenate([x + 1e-8, np.zeros(padding)])
    wide = np.interp(np.linspace(0, 1, 72), np.linspace(0, 1, len(padded)), padded) * scale
    wide = np.roll(wide, shift)
    wide = np.where(wide != 0, wide, gaussian_filter(correlated, 2)) + white
    wide = wide - slope * np.linspace(-0.5, 0.5, 72)
    return np.interp(np.linspace(0, 1, 40), np.linspace(0, 1, 72), wide)


def test_the_distortion_is_the_published_one() -> None:
    random = np.random.default_rng(0)
    x = templates()[random.integers(0, 10, 30)]
    padding, shift = random.integers(36, 61, 30), random.integers(0, 48, 30)
    scale, slope = random.uniform(0.8, 1.2, 30), random.uniform(-0.4, 0.4, 30)
    correlated, white = random.normal(size=(2, 30, 72))
    draws = (padding, scale, shift, correlated, white, slope)
    expected = [by_hand(x[i], *(draw[i] for draw in draws)) for i in range(30)]
    np.testing.assert_allclose(distorted(x, *draws), expected, atol=1e-6)


def test_templates_start_at_zero_and_have_one_sixth_of_deviation() -> None:
    assert templates().shape == (10, 12)
    np.testing.assert_allclose(templates()[:, 0], 0)
    np.testing.assert_allclose(templates().std(1), 1 / 6)


@pytest.mark.parametrize(("old", "new"), [(48, 72), (72, 72), (72, 40), (2, 5)])
def test_resampling_is_linear_interpolation(old: int, new: int) -> None:
    values = np.random.default_rng(old).normal(size=old)
    expected = np.interp(np.linspace(0, 1, new), np.linspace(0, 1, old), values)
    np.testing.assert_allclose(resampling(old, new) @ values, expected)


def test_size_moments_and_balance() -> None:
    stream = open_stream("mnist1d")
    source = stream.source
    assert source.inputs.shape == (5000, 40)
    assert source.inputs.mean().item() == pytest.approx(0, abs=1e-5)
    assert source.inputs.std().item() == pytest.approx(1, abs=1e-4)
    assert torch.bincount(source.targets).tolist() == [500] * 10
    assert stream.size("train") + stream.size("valid") == 4000
    assert stream.size("test") == 1000
    assert stream.rows["test"].min() == 4000


def test_the_seed_decides_everything() -> None:
    first, again, other = mnist1d(rows=200), mnist1d(rows=200), mnist1d(rows=200, seed=1)
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.targets, again.targets)
    assert not torch.equal(first.inputs, other.inputs)


def test_a_linear_classifier_gets_about_a_third_right_as_published() -> None:
    from sklearn.linear_model import LogisticRegression

    source = mnist1d()
    x, y = source.inputs.numpy(), source.targets.numpy()
    correct = LogisticRegression(max_iter=100).fit(x[:4000], y[:4000]).score(x[4000:], y[4000:])
    assert 0.28 < correct < 0.36  # Greydanus 2020, table 1: 32%
