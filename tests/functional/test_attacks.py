"""Attacks stay in their ball and box, equal the closed form where there is one, and do more harm than noise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from thetastar.functional.attacks import Norm, draw_from_ball, pgd_attack, project


def small_net(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))


def size(delta: Tensor, norm: Norm) -> Tensor:
    return delta.abs().flatten(1).amax(1) if norm == "linf" else delta.flatten(1).norm(dim=1)


@settings(max_examples=40, deadline=None)
@given(
    eps=st.floats(1e-3, 2.0),
    step=st.floats(1e-3, 3.0),
    steps=st.integers(1, 4),
    norm=st.sampled_from(["linf", "l2"]),
    random_start=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_attack_stays_in_the_ball_and_in_the_box(
    eps: float, step: float, steps: int, norm: Norm, random_start: bool, seed: int
) -> None:
    net = small_net(seed)
    x = torch.rand(5, 1, 3, 4).round(decimals=1)  # some on the border of the box
    found = pgd_attack(
        lambda z: net(z).logsumexp(1), x, eps=eps, step_size=step, steps=steps, norm=norm, random_start=random_start
    )
    assert found.min() >= 0
    assert found.max() <= 1
    assert (size(found - x, norm) <= eps * (1 + 1e-5) + 1e-6).all()


@pytest.mark.parametrize("steps", [1, 5])
def test_on_a_linear_model_the_linf_attack_is_eps_times_the_sign_of_the_weights(steps: int) -> None:
    torch.manual_seed(0)
    w, x = torch.randn(6), torch.randn(4, 6)
    y = torch.tensor([1.0, -1.0, 1.0, -1.0])

    def loss(z: Tensor) -> Tensor:
        return nn.functional.softplus(-y * (z @ w))

    eps = 0.3
    found = pgd_attack(loss, x, eps=eps, step_size=2 * eps, steps=steps, random_start=steps > 1, bounds=None)
    torch.testing.assert_close(found, x - eps * y[:, None] * w.sign())


def test_on_a_linear_model_the_l2_attack_goes_straight_along_the_weights() -> None:
    torch.manual_seed(0)
    w, x = torch.randn(6), torch.randn(4, 6)
    found = pgd_attack(lambda z: z @ w, x, eps=0.7, step_size=0.4, steps=40, norm="l2", bounds=None)
    torch.testing.assert_close(found, x + 0.7 * w / w.norm(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_attack_raises_the_loss_above_noise_of_the_same_size(norm: Norm) -> None:
    net, eps = small_net(1), 0.2
    x, y = torch.rand(64, 12), torch.randint(3, (64,))

    def loss(z: Tensor) -> Tensor:
        return nn.functional.cross_entropy(net(z), y, reduction="none")

    found = loss(pgd_attack(loss, x, eps=eps, step_size=eps / 4, steps=10, norm=norm))
    # noise on the surface of the ball, the best of twenty draws for each example
    noises = torch.randn(20, 64, 12)
    unit = noises.sign() if norm == "linf" else noises / noises.norm(dim=2, keepdim=True)
    noise = torch.stack([loss((x + eps * n).clamp(0, 1)) for n in unit]).amax(0)
    assert (found > noise).all()


@pytest.mark.parametrize(("eps", "steps"), [(0.0, 5), (0.3, 0)])
def test_no_radius_or_no_steps_leave_the_inputs_alone(eps: float, steps: int) -> None:
    x = torch.rand(3, 4)
    assert pgd_attack(lambda z: z.sum(1), x, eps=eps, step_size=0.1, steps=steps) is x


def test_draws_from_the_l2_ball_are_uniform() -> None:
    torch.manual_seed(0)
    draws = draw_from_ball(torch.zeros(20_000, 3), 2.0, "l2")
    # in a ball of radius R in d dimensions P(r ≤ ρ) = (ρ/R)^d and the covariance is R²/(d + 2)
    radius = draws.norm(dim=1)
    assert abs((radius <= 1.0).float().mean() - 1 / 8) < 0.01
    torch.testing.assert_close(torch.cov(draws.T), 4 / 5 * torch.eye(3), atol=0.03, rtol=0)


def test_projection_is_the_nearest_point() -> None:
    torch.manual_seed(0)
    delta = 2 * torch.randn(50, 6)
    for norm in ("linf", "l2"):
        near = project(delta, 1.0, norm)
        rivals = draw_from_ball(delta, 1.0, norm)
        assert ((near - delta).norm(dim=1) <= (rivals - delta).norm(dim=1)).all()
        torch.testing.assert_close(project(near, 1.0, norm), near)
