"""Attention: the readable form beside the fused one and beside NumPy, and what flows through several layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar.functional.attention import attention, attention_in_steps, causal, in_plain_products, rollout

pytestmark = pytest.mark.shows("V8")
sizes = st.integers(1, 7)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(sizes, sizes, sizes, sizes, sizes)
def test_both_forms_agree(batch: int, heads: int, queries: int, keys: int, width: int) -> None:
    q, k, v = drawn(batch, heads, queries, width), drawn(batch, heads, keys, width), drawn(batch, heads, keys, width)
    torch.testing.assert_close(attention_in_steps(q, k, v).output, attention(q, k, v), atol=1e-12, rtol=1e-12)
    allowed = torch.rand(queries, keys) < 0.6
    allowed[:, 0] = True
    found = attention_in_steps(q, k, v, allowed)
    torch.testing.assert_close(found.output, attention(q, k, v, allowed), atol=1e-12, rtol=1e-12)
    assert not found.weights[..., ~allowed].any()


def test_beside_numpy() -> None:
    q, k, v = drawn(3, 5), drawn(4, 5), drawn(4, 2)
    exponent = np.exp(q.numpy() @ k.numpy().T / np.sqrt(5))
    share = exponent / exponent.sum(1, keepdims=True)
    found = attention_in_steps(q, k, v)
    assert found.weights.numpy() == pytest.approx(share, abs=1e-12)
    assert found.output.numpy() == pytest.approx(share @ v.numpy(), abs=1e-12)


def test_what_follows_is_not_seen() -> None:
    q, k, v = drawn(1, 1, 6, 4), drawn(1, 1, 6, 4), drawn(1, 1, 6, 4)
    before = attention(q, k, v, causal(6))
    v[..., 4:, :] += 1
    k[..., 4:, :] -= 1
    after = attention(q, k, v, causal(6))
    assert torch.equal(before[..., :4, :], after[..., :4, :])
    assert not torch.allclose(before[..., 4:, :], after[..., 4:, :])


def test_second_derivatives_exist_in_plain_products() -> None:
    q, k, v = (drawn(1, 1, 3, 2).requires_grad_() for _ in range(3))
    with in_plain_products():
        assert torch.autograd.gradgradcheck(attention, (q, k, v))


def test_rollout_by_hand() -> None:
    first, second = drawn(2, 3, 5, 5).softmax(-1), drawn(2, 3, 5, 5).softmax(-1)
    found = rollout([first, second])
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 5, dtype=torch.float64))  # shares of the inputs
    a, b = (np.mean(one[1].numpy(), 0) * 0.5 + np.eye(5) * 0.5 for one in (first, second))
    assert found[1].numpy() == pytest.approx(b @ a, abs=1e-12)  # the later block reads what the earlier one wrote
