"""Gauges of collapse at both ends of their range."""

from __future__ import annotations

import numpy as np
import torch

from thetastar.functional.collapse import effective_rank, spread
from thetastar.functional.keys import generator


def test_spread_is_zero_for_one_direction_and_one_for_balanced_ones() -> None:
    z = torch.randn(500, 6, generator=generator("z"))
    assert spread(z[:1].expand(50, -1) * torch.rand(50, 1, generator=generator("scale"))) < 1e-3
    torch.testing.assert_close(spread(torch.cat([z, -z])), torch.ones(()))


def test_spread_is_the_deviation_of_the_directions() -> None:
    z = np.random.default_rng(0).normal(size=(40, 5)) + 1.0
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    expected = np.sqrt(unit.var(axis=0).sum())
    np.testing.assert_allclose(spread(torch.from_numpy(z)).item(), expected, rtol=1e-5)


def test_effective_rank_counts_directions_that_vary_alike() -> None:
    for rank in (1, 3, 7):
        spectrum = torch.zeros(7, dtype=torch.float64)
        spectrum[:rank] = 2.5
        turn = torch.linalg.qr(torch.randn(7, 7, generator=generator("turn"), dtype=torch.float64))[0]
        got = effective_rank(turn @ torch.diag(spectrum) @ turn.T)
        assert abs(got - rank) < 1e-5
    assert effective_rank(torch.zeros(4, 4)) == 0


def test_effective_rank_is_the_exponential_of_the_entropy_of_singular_values() -> None:
    z = np.random.default_rng(1).normal(size=(60, 5)) @ np.diag([5, 2, 1, 0.5, 0.1])
    values = np.linalg.svd(z - z.mean(0), compute_uv=False)
    p = values / values.sum()
    got = effective_rank(torch.from_numpy(np.cov(z.T, bias=True)))
    np.testing.assert_allclose(got.item(), np.exp(-(p * np.log(p)).sum()), rtol=1e-8)
