"""Lanczos against NumPy's dense eigenvalues, its residual bounds, and the trace by random signs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from thetastar.functional.lanczos import lanczos, trace_estimate


def planted(values: list[float], seed: int) -> Tensor:
    """A symmetric matrix of these eigenvalues."""
    draws = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(len(values), len(values), generator=draws, dtype=torch.float64))[0]
    return basis @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ basis.T


def start(size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.integers(0, 9), st.integers(1, 50))
def test_residuals_bound_the_distance_to_a_true_eigenvalue(values: list[float], seed: int, steps: int) -> None:
    matrix = planted(values, seed)
    found = lanczos(lambda v: matrix @ v, start(len(values)), steps)
    true = np.linalg.eigvalsh(matrix.numpy())
    distance = np.abs(found.values.numpy()[:, None] - true[None]).min(1)
    assert (distance <= found.residuals.numpy() + 1e-9 * max(1.0, np.abs(true).max())).all()


@pytest.mark.shows("O5")
def test_extreme_eigenvalues_of_a_spectrum_like_that_of_a_net() -> None:
    bulk = np.random.default_rng(0).normal(0, 0.02, 395).tolist()
    matrix = planted([*bulk, -0.4, 3.0, 5.0, 9.0, 9.5], 1)
    found = lanczos(lambda v: matrix @ v, start(400), 120)
    true = np.linalg.eigvalsh(matrix.numpy())
    assert found.values[-1] == pytest.approx(true[-1], rel=1e-9)
    assert found.values[0] == pytest.approx(true[0], rel=1e-6)
    assert found.steps < 60


def test_no_eigenvalue_appears_again_by_rounding() -> None:
    """One dominant eigenvalue converges early; without orthogonality to it, rounding would bring copies of it."""
    matrix = planted([*np.linspace(0, 1, 59).tolist(), 1e6], 2)
    found = lanczos(lambda v: matrix @ v, start(60), 60, tolerance=0.0)
    np.testing.assert_allclose(found.values.numpy(), np.linalg.eigvalsh(matrix.numpy()), atol=1e-6)


def test_a_space_that_is_closed_ends_the_search() -> None:
    matrix = planted([2.0, 2.0, -1.0, *[0.0] * 37], 3)
    found = lanczos(lambda v: matrix @ v, start(40), 40)
    assert found.steps == 3
    torch.testing.assert_close(found.values, torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64))
    zero = lanczos(torch.zeros_like, start(5), 5)
    assert zero.steps == 1
    assert zero.values.item() == 0.0


def test_the_trace_by_random_signs() -> None:
    matrix = planted(np.random.default_rng(4).normal(1, 2, 80).tolist(), 4)
    value, error = trace_estimate(lambda v: matrix @ v, start(80), 40, torch.Generator().manual_seed(0))
    assert abs(value - matrix.trace().item()) < 4 * error
    diagonal = torch.diag(torch.arange(6.0, dtype=torch.float64))
    value, error = trace_estimate(lambda v: diagonal @ v, start(6), 5, torch.Generator().manual_seed(0))
    assert (value, error) == (15.0, 0.0), "exact where nothing is beside the diagonal"
