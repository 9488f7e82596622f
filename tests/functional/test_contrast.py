"""Losses between views, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar import equation
from thetastar.errors import UserError
from thetastar.functional.contrast import cosine_distance, info_nce
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


@pytest.mark.parametrize("method", ["byol", "moco"])
def test_data_without_views_are_refused_in_one_line(method: str) -> None:
    with pytest.raises(UserError, match=f"{method} on data without views; expected two views"):
        equation.fit(Recipe(data={"name": "resident", "source": "bars"}, method=method, budget={"steps": 1}))
