"""The tape against torch's autograd on random programs, and on numbers done by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from thetastar.functional.tape import Value, backpropagate

ENTRYWISE: dict[str, Any] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "square": torch.square,
    "log_sum_exp": lambda x: x.logsumexp(-1, keepdim=True),
}
BINARY = ("__add__", "__sub__", "__mul__", "__matmul__")
SHAPES = ((2, 3), (3, 2), (3, 3), (1, 3), (2, 1), (3,))


@pytest.mark.shows("F9")
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_random_programs_have_autograds_gradients(seed: int, length: int) -> None:
    draws = np.random.default_rng(seed)
    ours = [Value(draws.uniform(-1, 1, shape)) for shape in SHAPES]
    leaves = [torch.tensor(value.data, requires_grad=True) for value in ours]
    theirs: list[torch.Tensor] = list(leaves)
    for _ in range(length):
        i, j = (int(k) for k in draws.integers(0, len(ours), 2))
        name = str(draws.choice([*ENTRYWISE, *BINARY]))
        if name in ENTRYWISE:
            new, same = getattr(ours[i], name)(), ENTRYWISE[name](theirs[i])
        else:
            if not fits(name, ours[i].data.shape, ours[j].data.shape):
                continue
            new, same = getattr(ours[i], name)(ours[j]), getattr(theirs[i], name)(theirs[j])
        ours.append(new)
        theirs.append(same)
        np.testing.assert_allclose(new.data, same.detach().numpy(), rtol=1e-10)
    end, last = ours[0].mean(), theirs[0].mean()
    for value, same in zip(ours[1:], theirs[1:], strict=True):
        end, last = end + value.tanh().sum(), last + same.tanh().sum()
    backpropagate(end)
    last.backward()
    for value, leaf in zip(ours, leaves, strict=False):
        assert leaf.grad is not None
        np.testing.assert_allclose(value.gradient, leaf.grad.numpy(), rtol=1e-9, atol=1e-12)


def fits(name: str, one: tuple[int, ...], two: tuple[int, ...]) -> bool:
    if name == "__matmul__":
        return len(one) == len(two) == 2 and one[1] == two[0]
    try:
        np.broadcast_shapes(one, two)
    except ValueError:
        return False
    return True


def test_what_is_used_twice_gathers_both_gradients() -> None:
    x = Value(np.array(3.0))
    end = x * x + x.times(4.0)
    order = backpropagate(end)
    assert x.gradient == 2 * 3 + 4
    assert order[0] is end
    assert order[-1] is x


def test_logarithm_and_exponential_by_hand() -> None:
    x = Value(np.array([1.0, 2.0]))
    end = (x.log() * x.exp()).inner(np.array([1.0, 10.0]), "y").sum()
    backpropagate(end)
    assert x.gradient == pytest.approx([np.e, 10 * (np.exp(2) / 2 + np.log(2) * np.exp(2))])


def test_large_numbers_do_not_overflow() -> None:
    with np.errstate(over="raise", invalid="raise"):
        x = Value(np.array([[1000.0, 0.0, -1000.0]]))
        end = x.log_sum_exp().sum() + x.sigmoid().sum() + x.softplus().sum()
        backpropagate(end)
    assert end.data == pytest.approx(1000 + 1.5 + 1000 + np.log(2))
    assert x.gradient[0] == pytest.approx([2.0, 0.75, 0.0])
