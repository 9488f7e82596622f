"""Losses between views, against NumPy in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thetastar import equation
from thetastar.errors import UserError
from thetastar.functional.contrast import cosine_distance, info_nce, nt_xent
from thetastar.functional.keys import generator
from thetastar.recipe import Recipe


def test_info_nce_is_the_log_share_of_the_own_key() -> None:
    random = np.random.default_rng(0)
    q, k, n = (random.normal(size=(rows, 5)) for rows in (6, 6, 11))
    q, k, n = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, k, n))
    expected = []
    for i in range(6):
        own = np.exp(q[i] @ k[i] / 0.07)
        expected.append(-np.log(own / (own + sum(np.exp(q[i] @ other / 0.07) for other in n))))
    got = info_nce(*(torch.from_numpy(x).float() for x in (q, k, n)), 0.07)
    np.testing.assert_allclose(got.numpy(), expected, rtol=2e-5, atol=1e-5)


def test_info_nce_of_indistinguishable_keys_is_the_log_of_their_number() -> None:
    q = torch.eye(4)[:3]
    got = info_nce(q, q[[0, 0, 0]], q[[0] * 7], 0.2)
    torch.testing.assert_close(got, torch.full((3,), float(np.log(8))))


def test_cosine_distance_is_the_squared_distance_of_directions() -> None:
    a, b = torch.randn(2, 9, 4, generator=generator("pair"), dtype=torch.float64)
    direction = [x / x.norm(dim=1, keepdim=True) for x in (a, b)]
    expected = (direction[0] - direction[1]).square().sum(1)
    torch.testing.assert_close(cosine_distance(a, b), expected)
    torch.testing.assert_close(cosine_distance(a, 3 * a), torch.zeros(9).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(cosine_distance(a, -a), torch.full((9,), 4.0).double())


def test_info_nce_keeps_float32_under_autocast() -> None:
    q, k, n = torch.nn.functional.normalize(torch.randn(3, 20, 8, generator=generator("unit")), dim=-1)
    expected = info_nce(q, k, n, 0.07)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(info_nce(q, k, n, 0.07), expected)


@pytest.mark.parametrize("method", ["byol", "moco", "simclr", "simsiam", "barlow_twins", "vicreg"])
def test_data_without_views_are_refused_in_one_line(method: str) -> None:
    with pytest.raises(UserError, match=f"{method} on data without views; expected two views"):
        equation.fit(Recipe(data={"name": "resident", "source": "bars"}, method=method, budget={"steps": 1}))


def nt_xent_by_loops(first: np.ndarray, second: np.ndarray, temperature: float, hard: float = 0.0) -> list[float]:
    """View by view and negative by negative, as algorithm 1 of Chen et al. 2020 says it."""
    z = [v / math.sqrt(sum(e * e for e in v)) for v in [*first, *second]]
    n, found = len(first), []
    for i in range(2 * n):
        own = (i + n) % (2 * n)
        others = [float(z[i] @ z[k]) / temperature for k in range(2 * n) if k not in (i, own)]
        weights = [math.exp(hard * s) for s in others]
        mean = sum(weights) / len(weights)
        positive = math.exp(float(z[i] @ z[own]) / temperature)
        negative = sum(w / mean * math.exp(s) for w, s in zip(weights, others, strict=True))
        found.append(-math.log(positive / (positive + negative)))
    return found


@pytest.mark.shows("L3")
@pytest.mark.parametrize("rows", [2, 3, 16, 61])
@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize("hard", [0.0, 0.5, 2.0])
def test_nt_xent_is_the_double_loop(rows: int, temperature: float, hard: float) -> None:
    first, second = np.random.default_rng(rows).normal(size=(2, rows, 5))
    expected = nt_xent_by_loops(first, second, temperature, hard)
    got = nt_xent(torch.from_numpy(first), torch.from_numpy(second), temperature, hard)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10, atol=1e-10)
    single = nt_xent(torch.from_numpy(first).float(), torch.from_numpy(second).float(), temperature, hard)
    np.testing.assert_allclose(single.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_gradients_of_nt_xent_are_those_of_its_formula() -> None:
    """With hard negatives, too, whose weights depend on the features."""
    z = torch.randn(2, 3, 4, generator=generator("gradient"), dtype=torch.float64, requires_grad=True)
    for hard in (0.0, 1.0):
        assert torch.autograd.gradcheck(lambda x, hard=hard: nt_xent(x[0], x[1], 0.5, hard), (z,))


@pytest.mark.shows("L7")
def test_hard_negatives_weigh_by_how_near_they_are() -> None:
    """Two negatives with cosines 0.8 and 0: at β = 1, τ = 1 the near one weighs e^0.8 / mean(e^0.8, 1), by hand."""
    query, key = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    negatives = torch.tensor([[0.8, 0.6], [0.0, 1.0]])
    near, far = math.exp(0.8), 1.0
    mean = (near + far) / 2
    for hard, weights in ((0.0, (1.0, 1.0)), (1.0, (near / mean, far / mean))):
        expected = -math.log(math.e / (math.e + weights[0] * near + weights[1] * far))
        np.testing.assert_allclose(info_nce(query, key, negatives, 1.0, hard).item(), expected, rtol=1e-6)


@pytest.mark.shows("L7")
def test_the_gradient_of_hard_negatives_goes_to_the_nearest() -> None:
    """The share of the push that the nearest of ten negatives feels grows with β."""
    z = torch.nn.functional.normalize(torch.randn(12, 6, generator=generator("near")), dim=-1)
    nearest = int((z[2:] @ z[0]).argmax())
    shares = []
    for hard in (0.0, 1.0, 4.0):
        negatives = z[2:].clone().requires_grad_()
        info_nce(z[:1], z[1:2], negatives, 0.5, hard).sum().backward()
        assert negatives.grad is not None
        push = negatives.grad @ z[0]
        shares.append(float(push[nearest] / push.abs().sum()))
    assert shares[0] < shares[1] < shares[2]


def test_nt_xent_keeps_float32_under_autocast() -> None:
    first, second = torch.randn(2, 20, 8, generator=generator("views"))
    expected = nt_xent(first, second, 0.07)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nt_xent(first, second, 0.07), expected)
