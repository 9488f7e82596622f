"""Every loss: its gradient by differences, by the chain rule and from the textbook's formula, to 1e-6 in float64."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from numpy.typing import NDArray
from torch import Tensor

from thetastar import registry
from thetastar.functional import losses
from thetastar.functional.differentiation import jacobians

Array = NDArray[np.float64]
ROWS, CLASSES, DELTA = 5, 4, 0.7


@dataclass
class Case:
    """Logits or numbers z, and what they are compared with."""

    z: Array
    classes: NDArray[np.int64]
    shares: Array
    labels: NDArray[np.int64]
    numbers: Array
    log_variance: Array

    @property
    def one_hot(self) -> Array:
        return np.eye(CLASSES)[self.classes]

    @property
    def softmax(self) -> Array:
        return scipy.special.softmax(self.z, 1)

    @property
    def signs(self) -> Array:
        return 2.0 * self.labels - 1

    @property
    def error(self) -> Array:
        return self.z - self.numbers

    def over_others(self, slope: Callable[[Array], Array]) -> Array:
        """Σ_{j≠y} φ(z_y − z_j): φ′ goes to y, −φ′ to j."""
        of_right = np.take_along_axis(self.z, self.classes[:, None], 1)
        to_others = slope(of_right - self.z) * (1 - self.one_hot)
        return self.one_hot * to_others.sum(1, keepdims=True) - to_others

    def against_the_best_other(self, margin: float) -> Array:
        """max(0, margin − (z_y − max_{j≠y} z_j)): −1 at y and 1 at the best other, where the margin is missed."""
        rivals = np.where(self.one_hot > 0, -np.inf, self.z)
        best = np.eye(CLASSES)[rivals.argmax(1)]
        missed = (self.z * self.one_hot).sum(1) - rivals.max(1) < margin
        return missed[:, None] * (best - self.one_hot)


def drawn(seed: int) -> Case:
    draws = np.random.default_rng(seed)
    z = 2 * draws.standard_normal((ROWS, CLASSES))
    classes = draws.integers(0, CLASSES, ROWS)
    shares = draws.dirichlet(np.ones(CLASSES), ROWS)
    labels = draws.integers(0, 2, z.shape)
    return Case(z, classes, shares, labels, z + draws.standard_normal(z.shape), draws.standard_normal(CLASSES))


Closed = Callable[[Case], Array]
LOSSES: dict[str, tuple[Callable[[Case], tuple[Any, ...]], Closed]] = {
    "cross_entropy, classes": (lambda c: (c.classes,), lambda c: c.softmax - c.one_hot),
    "cross_entropy, shares": (lambda c: (c.shares,), lambda c: c.softmax - c.shares),
    "cross_entropy, smoothed": (lambda c: (c.classes, 0.1), lambda c: c.softmax - 0.9 * c.one_hot - 0.1 / CLASSES),
    "kl, shares": (lambda c: (c.shares,), lambda c: c.softmax - c.shares),
    "kl, classes": (lambda c: (c.classes,), lambda c: c.softmax - c.one_hot),
    "binary_cross_entropy, labels": (
        lambda c: (c.labels,),
        lambda c: (scipy.special.expit(c.z) - c.labels) / CLASSES,
    ),
    "hinge, classes": (lambda c: (c.classes,), lambda c: c.against_the_best_other(1.0)),
    "hinge, labels": (lambda c: (c.labels,), lambda c: -c.signs * (c.signs * c.z < 1) / CLASSES),
    "perceptron, classes": (lambda c: (c.classes,), lambda c: c.against_the_best_other(0.0)),
    "perceptron, labels": (lambda c: (c.labels,), lambda c: -c.signs * (c.signs * c.z < 0) / CLASSES),
    "exponential, classes": (lambda c: (c.classes,), lambda c: c.over_others(lambda m: -np.exp(-m))),
    "exponential, labels": (lambda c: (c.labels,), lambda c: -c.signs * np.exp(-c.signs * c.z) / CLASSES),
    "logistic, classes": (lambda c: (c.classes,), lambda c: c.over_others(lambda m: -scipy.special.expit(-m))),
    "logistic, labels": (
        lambda c: (c.labels,),
        lambda c: -c.signs * scipy.special.expit(-c.signs * c.z) / CLASSES,
    ),
    "squared": (lambda c: (c.numbers,), lambda c: 2 * c.error / CLASSES),
    "absolute": (lambda c: (c.numbers,), lambda c: np.sign(c.error) / CLASSES),
    "huber": (lambda c: (c.numbers, DELTA), lambda c: np.clip(c.error, -DELTA, DELTA) / CLASSES),
    "gaussian_nll": (lambda c: (c.numbers, c.log_variance), lambda c: c.error * np.exp(-c.log_variance) / CLASSES),
}


def value_of(name: str, case: Case) -> Callable[[Tensor], Tensor]:
    function = getattr(losses, name.partition(",")[0])
    arguments = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in LOSSES[name][0](case)]
    return lambda z: function(z, *arguments).sum()


@pytest.mark.shows("F7")
@pytest.mark.shows("F9")
@pytest.mark.parametrize("name", LOSSES)
def test_three_gradients_agree(name: str) -> None:
    for seed in range(8):
        case = drawn(seed)
        both = jacobians(value_of(name, case), torch.tensor(case.z))
        closed = LOSSES[name][1](case)
        assert both.automatic.numpy() == pytest.approx(closed, rel=1e-10, abs=1e-12)
        assert both.deviation < 1e-6
        assert np.abs(closed).max() > 0.01


@pytest.mark.shows("F7")
def test_the_variance_of_the_gaussian_is_differentiated_too() -> None:
    """∂/∂log σ² = (1 − e² / σ²) / 2: zero where the variance is the mean square of the errors."""
    case = drawn(0)
    z, y = torch.tensor(case.z), torch.tensor(case.numbers)
    both = jacobians(
        lambda log_variance: losses.gaussian_nll(z, y, log_variance).sum(), torch.tensor(case.log_variance)
    )
    closed = ((1 - case.error**2 * np.exp(-case.log_variance)) / 2).sum(0) / CLASSES
    assert both.automatic.numpy() == pytest.approx(closed)
    assert both.deviation < 1e-6
    best = torch.tensor(np.log((case.error**2).mean(0)), requires_grad=True)
    losses.gaussian_nll(z, y, best).sum().backward()
    assert best.grad is not None
    assert best.grad.numpy() == pytest.approx(0, abs=1e-12)


def test_no_loss_is_left_out() -> None:
    public = {
        name
        for name, function in inspect.getmembers(losses, inspect.isfunction)
        if function.__module__ == losses.__name__ and not name.startswith("_")
    }
    assert public - {"full", "margins"} == {name.partition(",")[0] for name in LOSSES}


@pytest.mark.shows("F7")
def test_the_zero_one_loss_is_a_measure_alone() -> None:
    """Its gradient is zero wherever there is one; accuracy is what is left of 1."""
    case = drawn(1)
    wrong = (case.z.argmax(1) != case.classes).mean()
    measure = registry.build("measures", "accuracy")
    measure.update({"prediction": torch.tensor(case.z).argmax(1)}, {"target": torch.tensor(case.classes)})
    assert measure.compute()["accuracy"] == pytest.approx(1 - wrong)
    steps = jacobians(lambda z: (z.argmax(1) != torch.tensor(case.classes)).double(), torch.tensor(case.z)).numeric
    assert not steps.any()
