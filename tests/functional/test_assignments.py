"""Assignments to prototypes: marginals, a loop in NumPy, what centre and temperature do, and pairs of views by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thetastar.functional.assignments import sharpened, sinkhorn, swapped


def by_hand(scores: np.ndarray, epsilon: float, rounds: int) -> np.ndarray:
    """Columns to 1 / prototypes, rows to 1 / batch, in turn, entry by entry."""
    q = np.exp(scores / epsilon)
    q /= q.sum()
    rows, columns = q.shape
    for _ in range(rounds):
        for k in range(columns):
            q[:, k] /= sum(q[i, k] for i in range(rows)) * columns
        for i in range(rows):
            q[i] /= sum(q[i, k] for k in range(columns)) * rows
    return q * rows


@pytest.mark.shows("L3")
@pytest.mark.parametrize(("rows", "columns", "epsilon", "rounds"), [(6, 4, 0.05, 3), (5, 9, 0.3, 1), (32, 8, 1.0, 10)])
def test_it_is_the_loop_over_rows_and_columns(rows: int, columns: int, epsilon: float, rounds: int) -> None:
    scores = np.random.default_rng(rows).uniform(-1, 1, (rows, columns))
    got = sinkhorn(torch.from_numpy(scores), epsilon, rounds)
    np.testing.assert_allclose(got.numpy(), by_hand(scores, epsilon, rounds), rtol=1e-9, atol=1e-12)


@pytest.mark.shows("L3")
@pytest.mark.parametrize("shape", [(8, 3), (3, 8), (20, 20)])
def test_marginals_are_equal(shape: tuple[int, int]) -> None:
    scores = 2 * torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 1
    q = sinkhorn(scores, 0.2, 300)
    torch.testing.assert_close(q.sum(1), torch.ones(shape[0], dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        q.sum(0), torch.full((shape[1],), shape[0] / shape[1], dtype=torch.float64), rtol=0, atol=1e-6
    )
    assert (q >= 0).all()


def test_it_finds_the_best_assignment_of_equal_marginals_as_epsilon_goes_to_nought() -> None:
    from scipy.optimize import linear_sum_assignment

    scores = torch.rand(7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    best = linear_sum_assignment(scores.numpy(), maximize=True)[1]
    assert sinkhorn(scores, 1e-3, 2000).argmax(1).tolist() == best.tolist()


def test_scores_far_apart_stay_finite_in_float32() -> None:
    q = sinkhorn(torch.tensor([[1.0, -1.0], [0.9, -1.0]]), 1e-3, 50)
    assert torch.isfinite(q).all()
    torch.testing.assert_close(q.sum(1), torch.ones(2))


@pytest.mark.parametrize("temperature", [0.04, 0.1, 1.0])
def test_the_centre_is_taken_off_and_the_temperature_divides(temperature: float) -> None:
    logits, centre = torch.randn(3, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    z = (logits - centre).numpy() / temperature
    expected = np.exp(z - z.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(sharpened(logits, centre, temperature).numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize(("targets", "views"), [(2, 2), (2, 5), (1, 3)])
def test_all_pairs_but_a_view_with_itself(targets: int, views: int) -> None:
    generator = torch.Generator().manual_seed(3)
    q = torch.rand(4, targets, 6, dtype=torch.float64, generator=generator).softmax(-1)
    log_p = torch.randn(4, views, 6, dtype=torch.float64, generator=generator).log_softmax(-1)
    expected = []
    for example in range(4):
        pairs = [
            -sum(float(q[example, i, k]) * float(log_p[example, v, k]) for k in range(6))
            for i in range(targets)
            for v in range(views)
            if v != i
        ]
        expected.append(math.fsum(pairs) / len(pairs))
    np.testing.assert_allclose(swapped(q, log_p).numpy(), expected, rtol=1e-10)
