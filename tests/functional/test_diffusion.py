"""The schedules and the Gaussian algebra against recursions and conditioning done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thetastar.functional.diffusion import cosine_betas, diffuse, kept_signal, linear_betas, posterior, recover

SCHEDULES = {"linear": linear_betas, "cosine": cosine_betas}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [20, 200, 1000])
def test_schedules_go_from_clean_to_noise(schedule: str, steps: int) -> None:
    betas = SCHEDULES[schedule](steps)
    kept = kept_signal(betas)
    assert betas.shape == (steps,)
    assert bool(((betas > 0) & (betas < 1)).all())
    assert bool((kept.diff() < 0).all())
    assert kept[0] > 0.98
    assert kept[-1] < 1e-3


def test_linear_schedule_is_the_papers() -> None:
    betas = linear_betas(1000)
    np.testing.assert_allclose(betas.numpy(), [1e-4 + (0.02 - 1e-4) * t / 999 for t in range(1000)], rtol=1e-12)
    assert kept_signal(betas)[-1].item() == pytest.approx(math.exp(sum(math.log1p(-b) for b in betas.tolist())))


def test_cosine_schedule_follows_its_curve() -> None:
    """ᾱ is the squared cosine itself, up to the last levels where β is cut."""
    kept = kept_signal(cosine_betas(500))
    curve = [math.cos((t / 500 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(500)]
    np.testing.assert_allclose(kept[:-1].numpy(), np.array(curve[1:]) / curve[0], rtol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.shows("N3")
def test_one_jump_has_the_moments_of_the_chain(schedule: str) -> None:
    """x_t = √(1 − β_t) x_{t−1} + √β_t ε step by step gives the mean and variance that `diffuse` draws with."""
    betas = SCHEDULES[schedule](100)
    kept = kept_signal(betas)
    mean, variance = 1.7, 0.0
    for t, beta in enumerate(betas.tolist()):
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        clean, zero, one = torch.tensor([1.7, 0.0, 1.0], dtype=torch.float64)
        assert diffuse(clean, zero, kept[t]).item() == pytest.approx(mean, rel=1e-9)
        spread = diffuse(clean, one, kept[t]) - diffuse(clean, zero, kept[t])
        assert spread.item() ** 2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_posterior_is_the_product_of_two_gaussians(schedule: str) -> None:
    """q(x_{t−1} | x_t, x_0) ∝ N(x_t; √α x_{t−1}, β) N(x_{t−1}; √ᾱ' x_0, 1 − ᾱ'): precisions add."""
    betas = SCHEDULES[schedule](60)
    from_clean, from_noisy, variance = (column.tolist() for column in posterior(betas))
    before = 1.0
    for t, beta in enumerate(betas.tolist()):
        if t == 0:
            assert (from_clean[0], from_noisy[0], variance[0]) == pytest.approx((1.0, 0.0, 0.0), abs=1e-12)
        else:
            precision = (1 - beta) / beta + 1 / (1 - before)
            assert variance[t] == pytest.approx(1 / precision, rel=1e-9)
            assert from_noisy[t] == pytest.approx(math.sqrt(1 - beta) / beta / precision, rel=1e-9)
            assert from_clean[t] == pytest.approx(math.sqrt(before) / (1 - before) / precision, rel=1e-9)
        before *= 1 - beta


def test_recover_undoes_diffuse() -> None:
    clean, noise = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    kept = torch.rand(5, 1, dtype=torch.float64)
    torch.testing.assert_close(recover(diffuse(clean, noise, kept), noise, kept), clean)
