"""Losses recomputed in NumPy float64 from their equations, and their gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import torch
from numpy.typing import NDArray

from thetastar.functional import losses

ROWS, CLASSES = 12, 4
Array = NDArray[np.float64]
random = np.random.default_rng(0)
Z: Array = 2 * random.standard_normal((ROWS, CLASSES))
Y = random.integers(0, CLASSES, ROWS)
SOFT: Array = random.dirichlet(np.ones(CLASSES), ROWS)
BITS = random.integers(0, 2, (ROWS, CLASSES))
NUMBERS: Array = Z + 1.5 * random.standard_normal(Z.shape)
P: Array = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
ONE_HOT = np.eye(CLASSES)[Y]
SIGN = 2 * BITS - 1


def others(row: int) -> Array:
    """z_y − z_j of the other classes, by the loop that the equation means."""
    return np.array([Z[row, Y[row]] - Z[row, j] for j in range(CLASSES) if j != Y[row]])


def over_rows(value: Callable[[Array], float]) -> Array:
    return np.array([value(others(row)) for row in range(ROWS)])


SMOOTH = 0.9 * ONE_HOT + 0.1 / CLASSES
CASES: dict[str, tuple[str, tuple[object, ...], Array]] = {
    "cross_entropy of classes": ("cross_entropy", (Y,), -np.log(P[np.arange(ROWS), Y])),
    "cross_entropy of distributions": ("cross_entropy", (SOFT,), -(SOFT * np.log(P)).sum(1)),
    "cross_entropy, smoothed": ("cross_entropy", (Y, 0.1), -(SMOOTH * np.log(P)).sum(1)),
    "cross_entropy of distributions, smoothed": (
        "cross_entropy",
        (SOFT, 0.2),
        -((0.8 * SOFT + 0.05) * np.log(P)).sum(1),
    ),
    "kl of distributions": ("kl", (SOFT,), (SOFT * (np.log(SOFT) - np.log(P))).sum(1)),
    "kl of classes": ("kl", (Y,), -np.log(P[np.arange(ROWS), Y])),
    "binary_cross_entropy": ("binary_cross_entropy", (BITS,), np.log(1 + np.exp(-SIGN * Z)).mean(1)),
    "hinge of classes": ("hinge", (Y,), over_rows(lambda m: max(0.0, 1 - m.min()))),
    "hinge of labels": ("hinge", (BITS,), np.maximum(0, 1 - SIGN * Z).mean(1)),
    "perceptron of classes": ("perceptron", (Y,), over_rows(lambda m: max(0.0, -m.min()))),
    "perceptron of labels": ("perceptron", (BITS,), np.maximum(0, -SIGN * Z).mean(1)),
    "exponential of classes": ("exponential", (Y,), over_rows(lambda m: np.exp(-m).sum())),
    "exponential of labels": ("exponential", (BITS,), np.exp(-SIGN * Z).mean(1)),
    "logistic of classes": ("logistic", (Y,), over_rows(lambda m: np.log(1 + np.exp(-m)).sum())),
    "logistic of labels": ("logistic", (BITS,), np.log(1 + np.exp(-SIGN * Z)).mean(1)),
    "squared": ("squared", (NUMBERS,), ((Z - NUMBERS) ** 2).mean(1)),
    "absolute": ("absolute", (NUMBERS,), np.abs(Z - NUMBERS).mean(1)),
    "huber": (
        "huber",
        (NUMBERS, 0.7),
        np.where(np.abs(Z - NUMBERS) <= 0.7, (Z - NUMBERS) ** 2 / 2, 0.7 * (np.abs(Z - NUMBERS) - 0.35)).mean(1),
    ),
    "gaussian_nll": (
        "gaussian_nll",
        (NUMBERS, np.array([-1.0, 0.0, 0.5, 2.0])),
        -scipy.stats.norm.logpdf(NUMBERS, Z, np.exp(np.array([-0.5, 0.0, 0.25, 1.0]))).mean(1),
    ),
}


def tensors(arguments: tuple[object, ...]) -> list[object]:
    return [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case: str) -> None:
    name, arguments, expected = CASES[case]
    function = getattr(losses, name)
    z = torch.tensor(Z, requires_grad=True)
    value = function(z, *tensors(arguments))
    assert value.shape == (ROWS,)
    assert value.detach().numpy() == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert torch.autograd.gradcheck(lambda output: function(output, *tensors(arguments)), z)


@pytest.mark.parametrize("case", [case for case in CASES if case.split()[0] not in ("squared", "absolute", "huber")])
def test_half_precision_is_raised_to_float32(case: str) -> None:
    name, arguments, expected = CASES[case]
    value = getattr(losses, name)(torch.tensor(Z).bfloat16(), *tensors(arguments))
    assert value.dtype in (torch.float32, torch.float64)
    assert value.numpy() == pytest.approx(expected, rel=0.1, abs=0.1)


@pytest.mark.shows("F7")
def test_the_gradient_of_softmax_cross_entropy_is_prediction_minus_target() -> None:
    for target, y in ((torch.tensor(Y), ONE_HOT), (torch.tensor(SOFT), SOFT)):
        z = torch.tensor(Z, requires_grad=True)
        losses.cross_entropy(z, target).sum().backward()
        assert z.grad.numpy() == pytest.approx(P - y, abs=1e-12)


def test_two_classes_are_the_binary_forms() -> None:
    z, y = torch.tensor(Z[:, :2]), torch.tensor(Y % 2)
    margin = (z[:, 1] - z[:, 0]) * (2 * y - 1)
    assert torch.allclose(losses.logistic(z, y), losses.cross_entropy(z, y))
    assert torch.allclose(losses.exponential(z, y), torch.exp(-margin))
    assert torch.allclose(losses.hinge(z, y), (1 - margin).clamp_min(0))
    assert torch.allclose(losses.perceptron(z, y), (-margin).clamp_min(0))


@pytest.mark.shows("F4")
def test_hinge_is_scikit_learns() -> None:
    many = sklearn.metrics.hinge_loss(Y, Z, labels=range(CLASSES))
    assert losses.hinge(torch.tensor(Z), torch.tensor(Y)).mean().item() == pytest.approx(many)
    two = sklearn.metrics.hinge_loss(Y % 2, Z[:, 1] - Z[:, 0])
    assert losses.hinge(torch.tensor(Z[:, :2]), torch.tensor(Y % 2)).mean().item() == pytest.approx(two)


def test_large_logits_neither_overflow_nor_vanish() -> None:
    z = torch.tensor([[1e4, 0.0, -1e4]])
    assert losses.cross_entropy(z, torch.tensor([0])).item() == 0.0
    assert losses.cross_entropy(z, torch.tensor([2])).item() == pytest.approx(2e4)
    assert losses.logistic(z, torch.tensor([1])).item() == pytest.approx(1e4)
    assert losses.binary_cross_entropy(z[:, :1], torch.tensor([[0.0]])).item() == pytest.approx(1e4)


def test_a_tie_has_the_gradient_of_a_mistake() -> None:
    """Rosenblatt's rule counts w·x = 0 as wrong; from w = 0 nothing would ever be learnt otherwise."""
    z = torch.zeros(1, 2, requires_grad=True)
    losses.perceptron(z, torch.tensor([1])).sum().backward()
    assert z.grad.tolist() == [[1.0, -1.0]]
