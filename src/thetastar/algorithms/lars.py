"""LARS: momentum whose step is scaled to the size of each tensor, for very large batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thetastar.algorithms.descent import Descent
from thetastar.errors import UserError
from thetastar.functional.members import beside, rows
from thetastar.functional.sharding import is_sharded
from thetastar.protocols import Move
from thetastar.registry import BelowOne, NonNegative, Positive

__all__ = ["lars"]


@dataclass(kw_only=True, eq=False)
class lars(Descent):
    """v ← μ v + η r (g + λ θ);  θ ← θ − v,  r = trust · ‖θ‖ / (‖g‖ + λ ‖θ‖) for each tensor.

    However large its gradient, a tensor moves by about `trust` · η of its own length. Biases and gains have r = 1 and
    no decay; so has a tensor that is all 0 or has no gradient.

    Args:
        momentum: μ in [0, 1).
        weight_decay: λ ≥ 0, on matrices and kernels only.
        trust: share of its length by which a tensor moves at η = 1, > 0.

    Source: You, Gitman and Ginsburg 2017, Large batch training of convolutional networks; biases and gains left out as
    in Chen, Kornblith, Norouzi and Hinton 2020, A simple framework for contrastive learning of visual representations.
    """

    lr: Positive = 1.0
    momentum: BelowOne = 0.9
    weight_decay: NonNegative = 1e-6
    trust: Positive = 1e-3

    def groups(self, move: Move) -> list[dict[str, Any]]:
        if "weight_decay" in move.own:  # it stands in the ratio, where nothing beside the rule can put it
            raise UserError("lars with weight_decay that varies in a population", "lr, l1, clip, clip_value", "fix it")
        if any(map(is_sharded, move.parameters.values())):
            raise UserError("lars on several processes: its tensors are cut", "sgd or adamw", "choose one")
        decayed, plain = self.parted(move)
        parts = [
            {"params": list(decayed.values()), "trust": self.trust},
            {"params": list(plain.values()), "trust": None, "weight_decay": 0.0},
        ]
        return [part | {"stacked": move.stacked} for part in parts if part["params"]]

    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        return Adaptive(groups, self.lr, self.momentum, self.weight_decay)


class Adaptive(torch.optim.Optimizer):
    """The rule over its groups; torch has none."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "the gradient is already there"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(velocity(parameter, parameter.grad, self.state[parameter], group))


def velocity(theta: Tensor, gradient: Tensor, slots: dict[str, Any], group: dict[str, Any]) -> Tensor:
    """v after this step, kept among the slots."""
    v = slots.setdefault("velocity", torch.zeros_like(gradient))
    direction = gradient + group["weight_decay"] * theta
    if group["trust"] is not None:
        direction = direction * ratio(theta, gradient, group)
    return v.mul_(group["momentum"]).add_(direction, alpha=group["lr"])


def ratio(theta: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """trust · ‖θ‖ / (‖g‖ + λ ‖θ‖), 1 where either norm is 0; of a stack one for each member."""
    size, slope = (rows(x).norm(dim=1) if group["stacked"] else x.norm() for x in (theta, gradient))
    found = group["trust"] * size / (slope + group["weight_decay"] * size)
    found = torch.where((size > 0) & (slope > 0), found, torch.ones_like(found))
    return beside(found, theta) if group["stacked"] else found
