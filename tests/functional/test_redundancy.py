"""Losses on moments of a batch, entry by entry in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thetastar.functional.keys import generator
from thetastar.functional.redundancy import barlow, covaried, cross_correlation, off_diagonal, too_narrow


@pytest.mark.shows("L3")
@pytest.mark.parametrize("rows", [4, 9, 50])
@pytest.mark.parametrize("redundancy", [0.0, 5e-3, 1.0])
def test_barlow_is_the_loop_over_pairs_of_entries(rows: int, redundancy: float) -> None:
    first, second = np.random.default_rng(rows).normal(size=(2, rows, 6)) * 3 + 1

    def correlation(i: int, j: int) -> float:
        a, b = first[:, i] - first[:, i].mean(), second[:, j] - second[:, j].mean()
        return float((a * b).mean() / math.sqrt((a**2).mean() + 1e-5) / math.sqrt((b**2).mean() + 1e-5))

    expected = sum(
        (1 - correlation(i, i)) ** 2 if i == j else redundancy * correlation(i, j) ** 2
        for i in range(6)
        for j in range(6)
    )
    got = barlow(torch.from_numpy(first), torch.from_numpy(second), redundancy)
    np.testing.assert_allclose(got.item(), expected, rtol=1e-10)


def test_entries_that_agree_and_do_not_repeat_cost_nothing() -> None:
    z = torch.linalg.qr(torch.randn(40, 5, generator=generator("basis"), dtype=torch.float64))[0]
    z = torch.linalg.qr(z - z.mean(0))[0] * 40**0.5  # entries of mean 0 and variance 1, uncorrelated
    z = z - z.mean(0)
    assert barlow(z, z, 1.0) < 1e-8
    torch.testing.assert_close(cross_correlation(z, z), torch.eye(5, dtype=torch.float64), rtol=0, atol=2e-5)
    assert covaried(z) < 1e-8
    assert too_narrow(z) == 0


@pytest.mark.shows("L3")
@pytest.mark.parametrize("rows", [4, 30])
def test_variance_and_covariance_are_those_of_numpy(rows: int) -> None:
    z = np.random.default_rng(rows).normal(size=(rows, 7)) * np.array([0.1, 0.5, 0.9, 1.1, 2.0, 0.0, 1.0])
    narrow = np.mean([max(0.0, 1 - math.sqrt(np.var(z[:, j], ddof=1) + 1e-4)) for j in range(7)])
    np.testing.assert_allclose(too_narrow(torch.from_numpy(z)).item(), narrow, rtol=1e-10)
    covariance = np.cov(z.T)
    repeated = sum(covariance[i, j] ** 2 for i in range(7) for j in range(7) if i != j) / 7
    np.testing.assert_allclose(covaried(torch.from_numpy(z)).item(), repeated, rtol=1e-10)


def test_a_constant_entry_has_a_finite_gradient() -> None:
    z = torch.ones(8, 3, dtype=torch.float64, requires_grad=True)
    (too_narrow(z) + covaried(z) + barlow(z, z, 1.0)).backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_off_diagonal_is_a_sum_of_squares() -> None:
    assert off_diagonal(torch.tensor([[5.0, 1.0], [2.0, 7.0]])) == 5


def test_bfloat16_autocast_leaves_the_moments_in_float32() -> None:
    first, second = torch.randn(2, 20, 8, generator=generator("views"))
    expected = barlow(first, second, 0.1), covaried(first)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(barlow(first, second, 0.1), expected[0])
        assert torch.equal(covaried(first), expected[1])
