"""Jacobians by differences and by the chain rule, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from thetastar.functional.differentiation import (
    automatic_jacobian,
    deviation,
    jacobians,
    numeric_jacobian,
    step_sizes,
)


@pytest.mark.shows("F9")
def test_the_jacobian_of_softmax() -> None:
    x = torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    both = jacobians(lambda z: z.softmax(-1), x)
    p = np.exp(x.numpy()) / np.exp(x.numpy()).sum()
    closed = np.diag(p) - np.outer(p, p)
    assert both.automatic.numpy() == pytest.approx(closed, abs=1e-15)
    assert both.numeric.numpy() == pytest.approx(closed, abs=1e-10)
    assert both.deviation < 1e-9


def test_of_a_model_and_of_any_shape() -> None:
    """A batch in, a batch out: (2, 3, 2, 4), and zero between examples."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x = torch.randn(2, 4, dtype=torch.float64)
    both = jacobians(model, x)
    assert both.numeric.shape == both.automatic.shape == (2, 3, 2, 4)
    assert both.deviation < 1e-9
    first, last = model[0].weight, model[2].weight
    inner = 1 - torch.tanh(model[0](x[0])).square()
    assert torch.allclose(both.automatic[0, :, 0], last @ torch.diag(inner) @ first)
    assert not both.numeric[0, :, 1].any()


def test_a_linear_map_is_its_own_jacobian() -> None:
    matrix = torch.randn(3, 2, dtype=torch.float64)
    assert torch.allclose(numeric_jacobian(lambda x: matrix @ x, torch.tensor([1e6, 1e-6]).double()), matrix)
    assert torch.equal(automatic_jacobian(lambda x: matrix @ x, torch.ones(2).double()), matrix)


def test_the_step_is_near_the_best_one() -> None:
    """Of steps from 10⁻¹ to 10⁻¹² none is more than ten times better on functions of ordinary size."""
    x = torch.tensor(0.7, dtype=torch.float64)
    for f, slope in ((torch.exp, torch.exp(x)), (torch.sin, torch.cos(x)), (torch.tanh, 1 - torch.tanh(x) ** 2)):
        errors = [abs((f(x + h) - f(x - h)) / (2 * h) - slope).item() for h in 10.0 ** -np.arange(1, 13)]
        ours = (numeric_jacobian(f, x) - slope).abs().item()
        assert ours <= 10 * min(errors) + 1e-11
        assert max(errors) > 100 * ours
    assert step_sizes(torch.tensor([0.0, -100.0]).double())[1] == pytest.approx(100 * 2.220446e-16 ** (1 / 3))


def test_deviation_is_relative_to_the_largest_entry() -> None:
    a = torch.tensor([100.0, 1e-9])
    assert deviation(a, torch.tensor([100.0, 0.0])) == pytest.approx(1e-11)
    assert deviation(a, a) == 0
    assert deviation(torch.zeros(3), torch.zeros(3)) == 0
