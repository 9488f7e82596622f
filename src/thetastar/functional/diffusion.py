"""The Gaussian diffusion of one example in closed form: q(x_t | x_0), q(x_{t−1} | x_t, x_0) and their schedules.

Noise levels are numbered t = 0, …, T − 1, as the entries of the schedules are; ᾱ_{−1} = 1 is the clean example.
Source: Ho, Jain and Abbeel 2020, Denoising diffusion probabilistic models.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def linear_betas(steps: int, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """β_t rising evenly from `first` to `last` over 1,000 levels; fewer levels take larger steps to the same end.

    Shapes: (steps,) float64, each in (0, 1).
    """
    scale = 1000 / steps
    return torch.linspace(first * scale, last * scale, steps, dtype=torch.float64).clamp_max(0.999)


def cosine_betas(steps: int, offset: float = 0.008, largest: float = 0.999) -> Tensor:
    """β_t = min(1 − ᾱ_t / ᾱ_{t−1}, largest) with ᾱ ∝ cos²(π/2 · (t/T + s)/(1 + s)), s the offset.

    Shapes: (steps,) float64, each in (0, largest].

    Source: Nichol and Dhariwal 2021, Improved denoising diffusion probabilistic models.
    """
    share = torch.arange(steps + 1, dtype=torch.float64) / steps
    kept = torch.cos((share + offset) / (1 + offset) * (math.pi / 2)).square()
    return (1 - kept[1:] / kept[:-1]).clamp_max(largest)


def kept_signal(betas: Tensor) -> Tensor:
    """ᾱ_t = Π_{s ≤ t} (1 − β_s): the share of the example's variance that is left at level t."""
    return torch.cumprod(1 - betas, 0)


def diffuse(clean: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """A draw of q(x_t | x_0) in one jump: x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε; `kept` = ᾱ_t broadcasts with the examples."""
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise


def recover(noisy: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """The inverse of `diffuse` given its noise: x_0 = (x_t − √(1 − ᾱ_t) ε) / √ᾱ_t."""
    return (noisy - (1 - kept).sqrt() * noise) / kept.sqrt()


def posterior(betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q(x_{t−1} | x_t, x_0) = N(a_t x_0 + b_t x_t, β̃_t I):

        a_t = √ᾱ_{t−1} β_t / (1 − ᾱ_t),  b_t = √α_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t),  β̃_t = β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t).

    Shapes: (steps,) betas → three (steps,): a, b, β̃; at t = 0 they are 1, 0, 0.
    """
    kept = kept_signal(betas)
    before = torch.cat([kept.new_ones(1), kept[:-1]])
    clean = before.sqrt() * betas / (1 - kept)
    noisy = (1 - betas).sqrt() * (1 - before) / (1 - kept)
    return clean, noisy, betas * (1 - before) / (1 - kept)
