"""Every activation: its value from the formula, and three derivatives that agree: closed form, automatic, numeric."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from thetastar.functional.activations import ACTIVATIONS, prelu, softmax, softmax_jacobian
from thetastar.layers.activation import Activation, phi

Array = NDArray[np.float64]
sigma: Callable[[Array], Array] = scipy.special.expit
SMOOTH = np.sqrt(2 / np.pi)

BY_FORMULA: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(0, x),
    "leaky_relu": lambda x: np.maximum(0.01 * x, x),
    "prelu": lambda x: np.maximum(0.25 * x, x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * scipy.stats.norm.cdf(x),
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(SMOOTH * (x + 0.044715 * x**3))),
    "silu": lambda x: x * sigma(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "softplus": lambda x: np.logaddexp(0, x),
    "sigmoid": sigma,
    "tanh": np.tanh,
    "identity": lambda x: x,
}
OF_TORCH: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    **{name: getattr(F, name) for name in ACTIVATIONS if hasattr(F, name) and name != "prelu"},
    "prelu": lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype)),
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "identity": lambda x: x,
}
KINKS = (-3.0, 0.0, 3.0)
inputs = st.lists(
    st.floats(-15, 15).filter(lambda x: all(abs(x - kink) > 1e-4 for kink in KINKS)), min_size=1, max_size=20
)


@pytest.mark.shows("F6")
@pytest.mark.parametrize("name", ACTIVATIONS)
@settings(max_examples=40, deadline=None)
@given(numbers=inputs)
def test_values_and_derivatives(name: str, numbers: list[float]) -> None:
    known = ACTIVATIONS[name]
    x = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
    value = known.value(x)
    at = x.detach().numpy()
    assert value.detach().numpy() == pytest.approx(BY_FORMULA[name](at), rel=1e-8, abs=1e-8)
    torch.testing.assert_close(value, OF_TORCH[name](x), rtol=1e-12, atol=1e-15)
    (automatic,) = torch.autograd.grad(value.sum(), x)
    closed = known.derivative(x.detach())
    step = np.finfo(float).eps ** (1 / 3) * np.maximum(1, np.abs(at))
    up, down = at + step, at - step
    numeric = (BY_FORMULA[name](up) - BY_FORMULA[name](down)) / (up - down)
    assert closed.dtype == torch.float64
    assert closed.numpy() == pytest.approx(automatic.numpy(), rel=1e-6, abs=1e-8)
    assert closed.numpy() == pytest.approx(numeric, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_at_zero_and_far_out_the_derivative_is_torchs(name: str) -> None:
    x = torch.tensor([-1e3, -100.0, 0.0, 100.0, 1e3], dtype=torch.float64, requires_grad=True)
    (automatic,) = torch.autograd.grad(OF_TORCH[name](x).sum(), x)
    torch.testing.assert_close(ACTIVATIONS[name].derivative(x.detach()), automatic, rtol=1e-9, atol=1e-12)


def test_the_slope_of_prelu_is_learnt() -> None:
    layer = phi("prelu")
    x = torch.tensor([-2.0, -1.0, 3.0])
    layer(x).sum().backward()
    (slope,) = layer.parameters()
    assert slope.grad is not None
    assert slope.grad.tolist() == [-3.0]  # Σ of the inputs below zero
    assert prelu(x, 0.5).tolist() == [-1.0, -0.5, 3.0]


def test_models_know_every_activation() -> None:
    assert set(get_args(Activation)) == set(ACTIVATIONS)
    x = torch.randn(5)
    for name, known in ACTIVATIONS.items():
        torch.testing.assert_close(phi(name)(x), known.value(x))  # type: ignore[arg-type]


@pytest.mark.shows("F6")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=5), st.floats(0.2, 5))
def test_softmax_with_temperature(numbers: list[float], temperature: float) -> None:
    x = torch.tensor(numbers, dtype=torch.float64)
    p = softmax(x, temperature)
    assert p.numpy() == pytest.approx(scipy.special.softmax(np.array(numbers) / temperature), abs=1e-12)
    automatic = torch.autograd.functional.jacobian(lambda z: softmax(z, temperature), x)
    torch.testing.assert_close(softmax_jacobian(x, temperature), automatic, rtol=1e-9, atol=1e-12)


def test_temperatures_have_their_limits() -> None:
    x = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    assert softmax(x, 1e-3).tolist() == pytest.approx([0, 0, 1])
    assert softmax(x, 1e6).tolist() == pytest.approx([1 / 3] * 3, abs=1e-5)


def test_selu_keeps_mean_and_variance() -> None:
    """E φ(z) = 0 and E φ(z)² = 1 for z ~ N(0, 1): the fixed point that its two constants were chosen for."""
    z, weight = np.polynomial.hermite_e.hermegauss(200)
    value = ACTIVATIONS["selu"].value(torch.tensor(z)).numpy()
    assert (weight * value).sum() / math.sqrt(2 * math.pi) == pytest.approx(0, abs=2e-3)
    assert (weight * value**2).sum() / math.sqrt(2 * math.pi) == pytest.approx(1, abs=2e-3)
