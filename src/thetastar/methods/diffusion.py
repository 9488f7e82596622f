"""Denoising diffusion: learn to tell noise from signal, then take the noise away step by step."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.diffusion import cosine_betas, diffuse, kept_signal, linear_betas, posterior, recover
from thetastar.functional.losses import full
from thetastar.functional.moments import moments
from thetastar.layers.ends import only_input
from thetastar.protocols import Aux, Batch, Clock, Model, Objective, Schema
from thetastar.registry import Count, Positive

__all__ = ["diffusion"]

_betas = {"linear": linear_betas, "cosine": cosine_betas}


class diffusion(Objective):
    """L(θ) = E ‖ε − ε_θ(√ᾱ_t x_0 + √(1 − ᾱ_t) ε, t)‖² / entries,  t uniform on the levels, ε ~ N(0, I).

    "samples" runs the chain backwards (ancestral sampling): x_{T−1} ~ N(0, I), then x_{t−1} ~ N(E[x_{t−1} | x_t, x̂_0],
    β_t I) with x̂_0 recovered from ε_θ(x_t, t); β_t is, of the paper's two variances, the one that is exact where the
    standardised data are normal. One sample for every example of the batch; the examples themselves are not looked at.

    f is ε_θ: a model whose forward pass takes a noise `level` in [0, 1] beside the input. It sees inputs in their own
    units, as every model does; ε and the chain live in standard deviations of the training split.

    Args:
        steps: T, the noise levels; fewer sample faster and coarser.
        schedule: of the noise: "cosine" (Nichol and Dhariwal 2021) or "linear" (Ho et al. 2020).
        clip: x̂_0 stays within so many standard deviations of the mean: where hardly any signal is left, 1/√ᾱ_t would
            blow up the smallest error.

    Source: Ho, Jain and Abbeel 2020, Denoising diffusion probabilistic models.
    """

    companions: ClassVar[Mapping[str, Any]] = {
        "model": "denoiser",
        "algorithm": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.0},
        "measures": ["energy_distance"],
    }
    reads = ("input",)
    kinds = frozenset({"vector", "image"})
    kept: Tensor
    from_clean: Tensor
    from_noisy: Tensor
    fresh: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self, *, steps: Count = 200, schedule: Literal["linear", "cosine"] = "cosine", clip: Positive = 5.0
    ) -> None:
        super().__init__()
        self.steps, self.clip = steps, clip
        betas = _betas[schedule](steps)
        self.register_buffer("kept", kept_signal(betas).float(), persistent=False)
        from_clean, from_noisy, _ = posterior(betas)
        self.register_buffer("from_clean", from_clean.float(), persistent=False)
        self.register_buffer("from_noisy", from_noisy.float(), persistent=False)
        fresh = betas.sqrt().index_fill(0, torch.tensor(0), 0.0)  # the last step adds no noise
        self.register_buffer("fresh", fresh.float(), persistent=False)

    @classmethod
    def example(cls) -> dict[str, Any]:
        model = {"name": "denoiser", "width": 32, "depth": 2}
        return {"data": "moons", "model": model, "method": {"name": "diffusion", "steps": 20}}

    def attach(self, f: Model, schema: Schema) -> None:
        if "level" not in inspect.signature(f.forward).parameters:
            raise UserError(
                f"diffusion with {type(f).__name__}", "a model that is told the noise level", "choose denoiser"
            )
        field = only_input(schema, "diffusion")
        self.shape = field.shape
        mean, std = moments(field)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        clean = (batch["input"] - self.mean) / self.std
        level = torch.randint(self.steps, (len(clean),), device=clean.device)
        noise = torch.randn_like(clean)
        kept = self.kept[level].view(-1, *(1 for _ in self.shape))  # (batch, 1, …)
        found = self.noise(f, diffuse(clean, noise, kept), level)
        return (found - noise).square().mean(), Aux()

    def noise(self, f: Model, noisy: Tensor, level: Tensor) -> Tensor:
        """ε_θ(x_t, t): what f holds for noise, x_t in standard units.

        Shapes: (batch, …), level (batch,) whole numbers in [0, steps) → (batch, …).
        """
        return full(f(self.mean + self.std * noisy, level=(level + 1) / self.steps))

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        out: dict[str, Tensor] = {}
        if "features" in wants:
            out["features"] = f.features(batch["input"])
        if "samples" in wants:
            out["samples"] = self.sample(f, len(batch["input"]))
        return out

    @torch.no_grad()
    def sample(self, f: Model, count: int) -> Tensor:
        """Ancestral sampling: (count, …) draws in the input's own units."""
        x = torch.randn(count, *self.shape, device=self.kept.device)
        for step in reversed(range(self.steps)):
            level = torch.full((count,), step, device=x.device)
            clean = recover(x, self.noise(f, x, level), self.kept[step]).clamp(-self.clip, self.clip)
            x = self.from_clean[step] * clean + self.from_noisy[step] * x
            x = x + self.fresh[step] * torch.randn_like(x)
        return self.mean + self.std * x
