"""Attacks: small changes of the input that raise a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from thetastar.functional.keys import next_key, uniform
from thetastar.functional.wrapping import uncached_casts

Norm = Literal["linf", "l2"]
Bounds = tuple[float, float] | None


def pgd_attack(
    loss_fn: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    norm: Norm = "linf",
    random_start: bool = True,
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """Projected gradient ascent: x' ← Π_{B(x, ε) ∩ box}(x' + α · direction(∇ ℓ(x'))).

    The direction is sign(g) for L∞ and g/‖g‖₂ for L2. One step from x itself with α = ε is the fast gradient sign
    method.

    Args:
        loss_fn: what is raised, a function of the inputs alone; (batch, …) → () or (batch,).
        x: inputs, inside the box where there is one.
        eps: radius ε ≥ 0 of the ball, in the units of x.
        step_size: α > 0, in the units of x.
        steps: of the ascent; 0 returns x.
        norm: of the ball.
        random_start: begin at a uniform draw from the ball rather than at x.
        bounds: the box's least and largest value; None for no box.

    Shapes: (batch, …) → (batch, …).

    Source: Madry et al. 2018, Towards deep learning models resistant to adversarial attacks; Goodfellow, Shlens and
    Szegedy 2015, Explaining and harnessing adversarial examples.
    """
    if steps == 0 or eps == 0:
        return x
    x = x.detach()
    delta = draw_from_ball(x, eps, norm) if random_start else torch.zeros_like(x)
    slope = torch.func.grad(lambda z: loss_fn(z).sum())
    with torch.no_grad(), uncached_casts():
        adversarial = clip(x + delta, bounds)
        for _ in range(steps):
            ascent = adversarial + step_size * direction(slope(adversarial), norm)
            adversarial = clip(x + project(ascent - x, eps, norm), bounds)
    return adversarial


def virtual_direction(divergence: Callable[[Tensor], Tensor], like: Tensor, *, xi: float, iterations: int) -> Tensor:
    """Where a small step raises a divergence most: power iteration d ← ∇_r D(r)|_{r = ξ d} / ‖·‖₂ from a random d.

    D(0) = 0 is its least value, so ∇_r D(ξ d) ≈ ξ H d with H its Hessian at 0, and d tends to the eigenvector of the
    largest eigenvalue.

    Args:
        divergence: D as a function of the steps of all examples, (batch, …) → (batch,); the same at every call.
        like: a tensor of the shape of the steps.
        xi: ξ > 0, the length of the step at which the slope is taken.
        iterations: of the power method; 0 is a random direction.

    Shapes: (batch, …) → the same, of length one; 0 where the divergence is flat.

    Source: Miyato, Maeda, Koyama and Ishii 2018, Virtual adversarial training.
    """
    slope = torch.func.grad(lambda r: divergence(r).sum())
    d = direction(draw_from_ball(like.detach(), 1.0, "l2"), "l2")
    with torch.no_grad(), uncached_casts():
        for _ in range(iterations):
            gradient = slope(xi * d)
            # scaled first: of a confident net the slope may be so small that its square is 0
            d = direction(gradient / gradient.abs().flatten(1).amax(1).clamp_min(1e-30).view(_lengths(d).shape), "l2")
    return d


def direction(gradient: Tensor, norm: Norm) -> Tensor:
    """Where a step of unit length in the norm raises a linear function most."""
    return gradient.sign() if norm == "linf" else gradient / _lengths(gradient).clamp_min(1e-12)


def project(delta: Tensor, eps: float, norm: Norm) -> Tensor:
    """The nearest point of the ball of radius ε around 0."""
    if norm == "linf":
        return delta.clamp(-eps, eps)
    return delta * (eps / _lengths(delta).clamp_min(1e-12)).clamp(max=1.0)


def clip(x: Tensor, bounds: Bounds) -> Tensor:
    return x if bounds is None else x.clamp(*bounds)


def draw_from_ball(x: Tensor, eps: float, norm: Norm) -> Tensor:
    """A uniform draw from the ball of radius ε around 0, one for each example."""
    draw = 2 * uniform(next_key(x.device), x.shape, x.device) - 1
    if norm == "linf":
        return (eps * draw).to(x.dtype)
    # a Gaussian's direction is uniform on the sphere; the radius r has density ∝ r^(d−1)
    normal = torch.erfinv(draw.clamp(-1 + 1e-6, 1 - 1e-6))
    size = math.prod(x.shape[1:])
    radius = uniform(next_key(x.device), (len(x), *[1] * (x.ndim - 1)), x.device) ** (1 / size)
    return (eps * radius * direction(normal, norm)).to(x.dtype)


def _lengths(x: Tensor) -> Tensor:
    """‖xᵢ‖₂ of each example, with axes kept: (batch, …) → (batch, 1, …)."""
    return x.flatten(1).norm(dim=1).view(len(x), *[1] * (x.ndim - 1))
