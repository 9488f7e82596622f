"""Diffusion: exact on Gaussian data, better than a fitted Gaussian on others, lost without the noise level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from thetastar import equation, star
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.evaluation import evaluate
from thetastar.functional.keys import seeded
from thetastar.measures.energy_distance import energy_distance
from thetastar.methods.diffusion import diffusion
from thetastar.protocols import Clock, Field, Program, Schema
from thetastar.recipe import Recipe
from thetastar.watch import Watch

SEEDS = range(3)
MOONS = {"name": "moons", "rows": 4000, "noise": 0.05, "valid": 0.4, "batch_size": 128}


def recipe(seed: int, **changes: Any) -> Recipe:
    return Recipe(
        data=MOONS,
        model={"name": "denoiser", "width": 64, "depth": 2},
        method={"name": "diffusion", "steps": 50, **changes},
        algorithm={"name": "adamw", "lr": 4e-3, "weight_decay": 0.0},
        measures=[{"name": "energy_distance", "cap": 2048}],
        budget={"steps": 400},
        engine={"evaluations": 0, "precision": "float32"},
        seed=seed,
    )


@pytest.fixture(scope="module")
def learnt() -> list[equation.Outcome]:
    return [equation.fit(recipe(seed)) for seed in SEEDS]


# --- independent references -------------------------------------------------------------------------------------------


class Gaussian(nn.Module):
    """The exact ε for x_0 ~ N(μ, diag σ²): E[ε | x_t] = √(1 − ᾱ_t) x_t in standard units."""

    def __init__(self, method: diffusion, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.kept, self.steps, self.mean, self.std = method.kept, method.steps, mean, std

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        kept = self.kept[(level * self.steps).round().long() - 1]
        return (1 - kept).sqrt()[:, None] * (x - self.mean) / self.std


@pytest.fixture(params=["linear", "cosine"])
def gaussian(request: pytest.FixtureRequest) -> tuple[diffusion, Any, Tensor, Tensor]:
    mean, std = torch.tensor([3.0, -200.0]), torch.tensor([0.1, 40.0])
    method = diffusion(steps=200, schedule=request.param)
    f: Any = Gaussian(method, mean, std)
    method.attach(f, Schema(Field("vector", (2,), mean=tuple(mean.tolist()), std=tuple(std.tolist()))))
    return method, f, mean, std


@pytest.mark.shows("N3")
def test_the_exact_denoiser_samples_the_exact_gaussian(gaussian: tuple[diffusion, Any, Tensor, Tensor]) -> None:
    method, f, mean, std = gaussian
    with seeded("gaussian"):
        samples = method.sample(f, 20_000)
    standard = (samples - mean) / std
    np.testing.assert_allclose(standard.mean(0), 0, atol=0.03)  # 4 standard errors of a mean of 20,000
    np.testing.assert_allclose(torch.cov(standard.T), torch.eye(2), atol=0.045)


def test_the_exact_denoiser_has_the_least_loss(gaussian: tuple[diffusion, Any, Tensor, Tensor]) -> None:
    """Var[ε | x_t] = 1 − (1 − ᾱ_t) = ᾱ_t for unit-variance data, so the least risk is the mean of ᾱ over the levels."""
    method, f, mean, std = gaussian
    with seeded("loss"):
        x = mean + std * torch.randn(100_000, 2)
        loss, _ = method.loss(f, {"input": x}, Clock(0))
    assert loss.item() == pytest.approx(method.kept.mean().item(), rel=0.015)


# --- behaviour --------------------------------------------------------------------------------------------------------


def gaussian_fit(outcome: equation.Outcome, seed: int) -> float:
    """The baseline: as many draws from the Gaussian with the training split's mean and covariance."""
    train, valid = (outcome.stream.sample(split, 10_000)["input"] for split in ("train", "valid"))
    random = np.random.default_rng(seed)
    draws = random.multivariate_normal(train.numpy().mean(0), np.cov(train.T.numpy()), len(valid))
    measure = energy_distance(cap=2048)
    measure.update({"samples": torch.tensor(draws)}, {"input": valid})
    return measure.compute()["energy_distance"]


def test_on_moons_it_beats_a_fitted_gaussian(learnt: list[equation.Outcome]) -> None:
    pairs = [(run.values["energy_distance"], gaussian_fit(run, seed)) for seed, run in zip(SEEDS, learnt, strict=True)]
    assert all(own < 0.85 * baseline for own, baseline in pairs), pairs


def test_linear_schedule_learns_too(learnt: list[equation.Outcome]) -> None:
    run = equation.fit(recipe(0, schedule="linear"))
    assert run.values["energy_distance"] < 0.9 * gaussian_fit(run, 0)


# --- known failures ---------------------------------------------------------------------------------------------------


class Deaf(nn.Module):
    def forward(self, level: Tensor) -> Tensor:
        return torch.zeros(len(level), 64)


def test_without_the_noise_level_it_is_clearly_worse(learnt: list[equation.Outcome]) -> None:
    full = recipe(0)
    stream = open_stream(full.data)
    program = equation.assemble(completed(full, stream), stream.schema)
    program.f.level = Deaf()
    deaf = equation.fit(full, stream=stream, start=program)
    assert deaf.values["energy_distance"] > 1.5 * learnt[0].values["energy_distance"]


def test_sampling_by_another_schedule_is_clearly_worse(learnt: list[equation.Outcome]) -> None:
    """What was learnt at one schedule's levels is wrong at another's."""
    run = learnt[0]
    other = diffusion(steps=50, schedule="linear")
    other.attach(run.program.f, run.stream.schema)
    values, _ = evaluate(Program(run.program.f, other), run.stream, "valid", run.recipe.measures, run.clock)
    assert values["energy_distance"] > 1.3 * run.values["energy_distance"]


def test_a_model_that_is_not_told_the_level_is_refused() -> None:
    with pytest.raises(UserError, match="choose denoiser"):
        star.fit("moons", "mlp", "diffusion", steps=1)


# --- reproducibility --------------------------------------------------------------------------------------------------


def test_samples_are_keyed_and_survive_the_run_folder(tmp_path: Path) -> None:
    made = star.fit("moons", **tiny(), steps=5, out=tmp_path / "run")
    raw = np.zeros((6, 2), np.float32)
    wants = frozenset({"samples"})
    torch.manual_seed(0)
    first = made.outputs(raw, wants, batch_size=3)["samples"]
    torch.manual_seed(1)
    again = star.load(tmp_path / "run").outputs(raw, wants, batch_size=3)["samples"]
    assert torch.equal(first, again)
    assert len(first.unique(dim=0)) == 6


def tiny() -> dict[str, Any]:
    return {"model": {"name": "denoiser", "width": 8, "depth": 1}, "method": {"name": "diffusion", "steps": 5}}


class Stop(Watch):
    def step(self, step: int, steps: int) -> None:
        if step == 7:
            raise KeyboardInterrupt


def test_samples_judge_an_interrupted_run_to_the_same_bit(tmp_path: Path) -> None:
    """Weights and the values of what is sampled agree with an undisturbed run's."""
    full = Recipe(data="moons", **tiny(), budget={"steps": 12}, engine={"checkpoint": 1e-9})
    whole = star.train(full, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        star.train(full, tmp_path / "parts", watch=Stop())
    parts = star.train(full, tmp_path / "parts")
    assert whole.measures["valid"] == parts.measures["valid"]
    assert all(torch.equal(a, b) for a, b in zip(whole.program.parameters(), parts.program.parameters(), strict=True))
