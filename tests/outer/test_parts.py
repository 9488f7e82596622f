"""Bias, variance and noise: parts that sum, come out right on average, and lie in their intervals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from thetastar import fit
from thetastar.outer.parts import Parts, squared, zero_one

REPEATS = 600


def sums(parts: Parts) -> None:
    v = parts.values
    assert v["noise"] + v["bias"] + v["variance"] == pytest.approx(v["error"], abs=1e-12)


@pytest.mark.shows("X5")
@given(st.integers(3, 7), st.integers(2, 9), st.integers(2, 4), st.integers(0, 999), st.sampled_from([None, 0.1]))
@settings(max_examples=40, deadline=None)
def test_parts_sum_to_the_error_whatever_was_said(members, examples, classes, seed, noise):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, (members, examples))
    target = random.integers(0, classes, examples)
    parts = zero_one(labels, target, classes, noise)
    sums(parts)
    assert parts.values["error"] == pytest.approx((labels != target).mean())
    assert parts.values["harmful"] - parts.values["helpful"] == pytest.approx(parts.values["variance"])
    outputs, goal = random.standard_normal((members, examples, classes)), random.standard_normal((examples, classes))
    parts = squared(outputs, goal, noise)
    sums(parts)
    assert parts.values["error"] == pytest.approx(np.square(goal - outputs).sum(-1).mean())


def test_every_member_is_judged_by_the_vote_of_the_others():
    """By hand: the definition of B, U and H with a loop over members and over the classes that are tied."""
    labels = np.array([[0, 1, 2, 2], [0, 1, 1, 0], [1, 1, 0, 2], [0, 0, 0, 1]])
    target = np.array([0, 0, 0, 2])
    wrong, harmful, helpful = [], [], []
    for k, i in itertools.product(range(4), range(4)):
        others = np.bincount(np.delete(labels[:, i], k), minlength=3)
        for main in np.flatnonzero(others == others.max()):
            weight = 1 / (others == others.max()).sum()
            wrong.append(weight * (main != target[i]))
            harmful.append(weight * (main == target[i]) * (labels[k, i] != target[i]))
            helpful.append(weight * (main != target[i]) * (labels[k, i] == target[i]))
    values = zero_one(labels, target, 3).values
    assert values["bias"] == pytest.approx(sum(wrong) / 16)
    assert values["harmful"] == pytest.approx(sum(harmful) / 16)
    assert values["helpful"] == pytest.approx(sum(helpful) / 16)


def covered(make, truth: dict[str, float]) -> None:
    """Estimates are right on average, and the intervals hold the truth at least nearly as often as they say."""
    found = [make() for _ in range(REPEATS)]
    for name, value in truth.items():
        said = np.array([parts.values[name] for parts in found])
        assert abs(said.mean() - value) < 4 * said.std() / math.sqrt(REPEATS), name
        hits = np.mean([low <= value <= high for low, high in (parts.intervals[name] for parts in found)])
        assert hits >= 0.93, name  # 2.2 standard errors of 600 repeats below 95%


@pytest.mark.shows("X5")
@pytest.mark.parametrize("members", [4, 12])
def test_known_squared_parts_come_out_and_lie_in_their_intervals(members):
    """Examples with normal biases and gamma variances, members that have a shift in common over examples."""
    random = np.random.default_rng(members)
    n, sigma = 120, 0.5

    def make() -> Parts:
        bias, spread = random.normal(0, 0.6, n), random.gamma(2, 0.2, n)
        shift = random.normal(0, 0.2, (members, 1))
        said = bias + shift + np.sqrt(spread) * random.standard_normal((members, n))
        return squared(said[..., None], sigma * random.standard_normal((n, 1)), sigma**2)

    covered(make, {"error": 0.25 + 0.36 + 0.44, "bias": 0.36, "variance": 0.44})


@pytest.mark.shows("X5")
@pytest.mark.parametrize("members", [4, 9])
def test_known_parts_of_errors_come_out_and_lie_in_their_intervals(members):
    """Two classes: each member is right with the example's own chance q, so a vote is binomial; labels are noisy."""
    random = np.random.default_rng(members)
    n, wrong = 120, 0.1
    q = stats.beta(4, 1.5).ppf((np.arange(4000) + 0.5) / 4000)
    others = members - 1
    right = stats.binom.sf(others / 2, others, q) + 0.5 * stats.binom.pmf(others / 2, others, q)
    shrunk = 1 - 2 * wrong  # 1 − p C / (C − 1)
    bias, error = shrunk * (1 - right).mean(), wrong + shrunk * (1 - q).mean()

    def make() -> Parts:
        said = (random.random((members, n)) > random.beta(4, 1.5, n)).astype(np.int64)
        return zero_one(said, (random.random(n) < wrong).astype(np.int64), 2, wrong)

    covered(make, {"error": error, "bias": bias, "variance": error - wrong - bias})


@pytest.mark.shows("X5")
def test_brier_parts_of_drawn_probabilities():
    """Dirichlet members: p̄ = a / |a|, Σ_c Var p_c = Σ_c p̄_c (1 − p̄_c) / (|a| + 1); noise is that of the class."""
    random = np.random.default_rng(3)
    a, members, n = np.array([4.0, 2.0, 1.0]), 8, 150
    truth = np.array([0.5, 0.3, 0.2])
    mean = a / a.sum()
    variance = (mean * (1 - mean)).sum() / (a.sum() + 1)
    noise, bias = (truth * (1 - truth)).sum(), np.square(truth - mean).sum()

    def make() -> Parts:
        target = np.eye(3)[random.choice(3, n, p=truth)]
        return squared(random.dirichlet(a, (members, n)), target, None, "brier")

    covered(make, {"error": noise + bias + variance, "bias": noise + bias, "variance": variance})


def test_without_the_correction_the_bias_holds_a_share_of_the_variance():
    """(y − f̄)², the plain squared bias, of unbiased members: too large by variance / K, which is what is taken off."""
    random = np.random.default_rng(0)
    said, target = random.standard_normal((4, 4000, 1)), np.zeros((4000, 1))
    assert np.square(said.mean(0)).mean() == pytest.approx(1 / 4, abs=0.03)
    parts = squared(said, target)
    assert parts.values["bias"] == pytest.approx(0, abs=0.03)
    assert parts.values["variance"] == pytest.approx(1, abs=0.03)
    assert parts.larger == "variance"


@pytest.mark.shows("X5")
@pytest.mark.parametrize("model", ["knn", "linear"])
def test_trained_members_have_the_parts_of_theory(model):
    """The same x, new noise for every member: k-NN has variance σ²/k and the bias of its neighbours' mean, least
    squares the variance σ² x₀ᵀ (XᵀX)⁻¹ x₀ and on a line no bias."""
    random = np.random.default_rng(5)
    sigma, members, k = 0.4, 24, 3
    x, new = random.uniform(-1, 1, (60, 1)), np.linspace(-0.9, 0.9, 40)[:, None]

    def truth(x):
        return np.sin(3 * x[:, 0]) if model == "knn" else 2 * x[:, 0] + 1

    arguments = {"k": k} if model == "knn" else {}
    said = []
    for _ in range(members):
        y = truth(x) + sigma * random.standard_normal(60)
        data = {"name": "arrays", "inputs": x, "targets": y, "valid": 0.0, "test": 0.0}
        said.append(fit(data, {"name": model, **arguments}, engine={"device": "cpu"}).predict(new).reshape(-1, 1))
    if model == "knn":
        near = np.abs(new - x.T).argsort(1)[:, :k]
        variance, bias = sigma**2 / k, np.square(truth(new) - truth(x)[near].mean(1)).mean()
    else:
        design, row = np.column_stack([np.ones(60), x]), np.column_stack([np.ones(40), new])
        variance = sigma**2 * np.einsum("ni,ij,nj->n", row, np.linalg.inv(design.T @ design), row).mean()
        bias = 0.0
    parts = squared(np.stack(said).astype(np.float64), truth(new)[:, None], 0.0)
    sums(parts)
    for name, value in (("bias", bias), ("variance", variance)):
        low, high = parts.intervals[name]
        assert low <= value <= high, name
    assert parts.values["variance"] == pytest.approx(variance, rel=0.3)
    assert parts.values["bias"] == pytest.approx(bias, abs=0.3 * variance)
