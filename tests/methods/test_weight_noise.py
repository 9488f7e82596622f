"""Noise on weights: its expected loss in closed form, the flatter minimum it finds, and none where it never changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from thetastar import equation, registry
from thetastar.defaults import completed, open_for
from thetastar.methods.weight_noise import weight_noise
from thetastar.protocols import Clock
from thetastar.recipe import Recipe

SIGMA = 0.3
SEEDS = range(3)


def opened(data: Any, model: Any, method: weight_noise | None, **terms: Any) -> tuple[Recipe, Any, Any]:
    """A complete recipe, its stream, and the program before the first step, by a method of one's own."""
    recipe = Recipe(data=data, model=model, engine={"evaluations": 0, "precision": "float32"}, **terms)
    stream = open_for(recipe)
    recipe = completed(recipe, stream)
    start = equation.assemble(recipe, stream.schema)
    if method is not None:
        method.attach(start.f, stream.schema)
        start.method = method
    return recipe, stream, start


def noisy(kind: type[weight_noise] = weight_noise) -> weight_noise:
    return kind(inner=registry.build("methods", "supervised"), sigma=SIGMA)


@pytest.mark.shows("O9")
def test_of_a_linear_model_under_squared_error_it_is_an_l2_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and gradient, averaged over draws whose mean is 0 and whose covariance is I, so that the mean is exact."""
    _, stream, program = opened({"name": "plane", "rows": 50, "batch_size": "all"}, "linear", noisy())
    f, method, batch = program.f, program.method, stream.examples("train")
    weight = f.head[0].weight
    with torch.no_grad():
        weight.copy_(torch.tensor([[1.0, -2.0, 0.5, 3.0]]))
    width = weight.numel()
    draws = [sign * width**0.5 * unit for unit in torch.eye(width) for sign in (1, -1)]
    losses, slopes = [], []
    for draw in draws:
        monkeypatch.setattr(torch, "randn_like", lambda w, draw=draw: draw.view_as(w))
        value, _ = method.loss(f, batch, Clock(0))
        losses.append(value.detach())
        slopes.append(torch.autograd.grad(value, weight)[0])
    plain, _ = method.inner.loss(f, batch, Clock(0))
    strength = SIGMA**2 / width * f.standardise(batch["input"]).square().sum(1).mean()  # of ‖w‖²
    torch.testing.assert_close(torch.stack(losses).mean(), plain + strength * weight.square().sum())
    slope = torch.autograd.grad(plain, weight)[0] + 2 * strength * weight.detach()
    torch.testing.assert_close(torch.stack(slopes).mean(0), slope)


def test_weights_of_zero_stay_finite() -> None:
    _, stream, program = opened("bars", "softmax", noisy())
    with torch.no_grad():
        program.f.head.weight.zero_()
    program.method.loss(program.f, stream.examples("train"), Clock(0))[0].backward()
    assert program.f.head.weight.grad.isfinite().all()


class one_draw(weight_noise):
    """Without its key part: the same noise at every step, which θ can undo."""

    def noisy(self, w: torch.Tensor) -> torch.Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(w.numel())
            return super().noisy(w)


def rise(kind: type[weight_noise] | None, seed: int) -> float:
    """By how much the training loss rises when the trained weights are shaken, a mean over eight draws."""
    data = {"name": "mnist1d", "rows": 600, "test": 0.6, "valid": 0.0}
    model = {"name": "mlp", "widths": [128]}
    terms = {"algorithm": {"name": "adamw", "lr": 0.01}, "budget": {"epochs": 20}, "seed": seed}
    recipe, stream, start = opened(data, model, noisy(kind) if kind else None, **terms)
    f = equation.fit(recipe, stream=stream, start=start).program.f
    batch, draws = stream.examples("train"), torch.Generator().manual_seed(seed)
    trained = [w.detach().clone() for w in f.parameters() if w.ndim > 1]

    def loss() -> float:
        return F.cross_entropy(f(batch["input"]), batch["target"]).item()

    shaken = []
    with torch.no_grad():
        plain = loss()
        for _ in range(8):
            for w, at in zip((w for w in f.parameters() if w.ndim > 1), trained, strict=True):
                w.copy_(at + SIGMA * at.square().mean().sqrt() * torch.randn(w.shape, generator=draws))
            shaken.append(loss() - plain)
    return sum(shaken) / len(shaken)


@pytest.mark.shows("O9")
def test_it_finds_a_flatter_minimum_and_a_draw_that_never_changes_does_not() -> None:
    """Beside plain supervised training, on paired seeds."""
    for seed in SEEDS:
        plain, drawn, fixed = (rise(kind, seed) for kind in (None, weight_noise, one_draw))
        assert drawn < 0.8 * min(plain, fixed), (drawn, plain, fixed)
