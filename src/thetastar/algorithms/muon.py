"""Muon: momentum whose matrices are made orthogonal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thetastar.algorithms.descent import Descent
from thetastar.errors import UserError
from thetastar.functional.orthogonal import newton_schulz
from thetastar.functional.sharding import is_sharded
from thetastar.protocols import Move
from thetastar.registry import BelowOne, Count, NonNegative, Positive

__all__ = ["muon"]


@dataclass(kw_only=True, eq=False)
class muon(Descent):
    """M ← μM + g;  O ≈ U Vᵀ of g + μM = U S Vᵀ (Newton–Schulz);  θ ← θ − η (0.2 √max(rows, columns) O + λ θ).

    Hidden matrices, and kernels as matrices (outputs, the rest), take this step; the head, biases and gains take that
    of AdamW at the same rate: the factor gives both steps entries of the same typical size.

    Args:
        momentum: μ in [0, 1), Nesterov's form.
        iterations: of Newton–Schulz, ≥ 1.
        betas: of AdamW, in [0, 1).
        weight_decay: λ ≥ 0, on matrices and kernels only.

    Source: Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks; the factor: Liu et al. 2025,
    Muon is scalable for LLM training.
    """

    lr: Positive = 1e-3
    momentum: BelowOne = 0.95
    iterations: Count = 5
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    weight_decay: NonNegative = 0.01

    def groups(self, move: Move) -> list[dict[str, Any]]:
        if move.stacked:
            raise UserError("muon on a population: its matrices are stacked", "sgd or adamw", "choose one")
        if any(map(is_sharded, move.parameters.values())):
            raise UserError("muon on several processes: its matrices are cut", "sgd or adamw", "choose one")
        decayed, plain = self.parted(move)
        hidden = {n: p for n, p in decayed.items() if ".head." not in n}
        others = [p for n, p in decayed.items() if n not in hidden]
        parts = [
            {"params": list(hidden.values()), "orthogonal": True},
            {"params": others, "orthogonal": False},
            {"params": list(plain.values()), "orthogonal": False, "weight_decay": 0.0},
        ]
        return [part for part in parts if part["params"]]

    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        return Orthogonal(groups, self.lr, self.momentum, self.iterations, self.betas, self.weight_decay)


class Orthogonal(torch.optim.Optimizer):
    """The two rules over their groups; torch's own Muon leaves kernels out."""

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        momentum: float,
        iterations: int,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        known = {"lr": lr, "momentum": momentum, "iterations": iterations, "betas": betas}
        super().__init__(groups, {**known, "weight_decay": weight_decay, "orthogonal": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "the gradient is already there"
        for group in self.param_groups:
            rule = orthogonal_step if group["orthogonal"] else adam_step
            for parameter in group["params"]:
                if parameter.grad is not None:
                    direction = rule(parameter.grad, self.state[parameter], group)
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(direction, alpha=group["lr"])


def orthogonal_step(gradient: Tensor, slots: dict[str, Any], group: dict[str, Any]) -> Tensor:
    """0.2 √max(rows, columns) · U Vᵀ of the momentum, seen as a matrix (outputs, the rest)."""
    mean = slots.setdefault("momentum", torch.zeros_like(gradient))
    mean.mul_(group["momentum"]).add_(gradient)
    ahead = (gradient + group["momentum"] * mean).flatten(1)  # (outputs, the rest)
    direction = newton_schulz(ahead, group["iterations"])
    return (0.2 * max(ahead.shape) ** 0.5 * direction).view(gradient.shape)


def adam_step(gradient: Tensor, slots: dict[str, Any], group: dict[str, Any]) -> Tensor:
    """m̂ / (√v̂ + ε)."""
    (first, second), eps = group["betas"], 1e-8
    mean = slots.setdefault("mean", torch.zeros_like(gradient))
    square = slots.setdefault("square", torch.zeros_like(gradient))
    count = slots["count"] = slots.get("count", 0) + 1
    mean.lerp_(gradient, 1 - first)
    square.lerp_(gradient.square(), 1 - second)
    return (mean / (1 - first**count)) / ((square / (1 - second**count)).sqrt() + eps)
