"""Newton's method, damped, with the exact Hessian."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from thetastar.errors import UserError
from thetastar.functional.curvature import flat, gradient_and_hessian, window_risk, write
from thetastar.functional.gradients import finite, window_gradient
from thetastar.functional.sharding import is_sharded
from thetastar.protocols import Algorithm, Aux, Batch, Clock, Loss, Move
from thetastar.registry import Count, NonNegative

__all__ = ["newton"]

DECREASE = 1e-4  # of Armijo: the share of the promised fall that a step must bring


@dataclass(kw_only=True, eq=False)
class newton(Algorithm):
    """θ ← θ − t (|H| + δI)⁻¹ g, |H| the Hessian with its eigenvalues made positive, t halved until the loss falls.

    With δ = 0 and on a convex quadratic, one step with t = 1 reaches the minimum. |H| leaves saddles instead of
    running into them. The exact loss is needed: give the whole training split as one batch (data.batch_size=all).

    Args:
        damping: δ ≥ 0, added to every eigenvalue; large values turn the step into a short one along the gradient.
        weight_decay: λ ≥ 0; λ/2 ‖W‖² of matrices and kernels is added to the loss.
        halvings: of t at most, until the loss falls by Armijo's rule; a step that still does not is not taken.
        largest: parameters up to which the Hessian is formed, ≥ 1.

    Source: Nocedal and Wright 2006, Numerical optimization, chapter 3; the absolute values: Dauphin et al. 2014,
    Identifying and attacking the saddle point problem in high-dimensional non-convex optimization.
    """

    companions: ClassVar[Mapping[str, Any]] = {"data": {"batch_size": "all"}, "engine": {"precision": "float32"}}

    damping: NonNegative = 1e-3
    weight_decay: NonNegative = 0.0
    halvings: Count = 20
    largest: Count = 3000

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "blobs", "model": {"name": "mlp", "widths": [8]}, "algorithm": "newton"}

    def init(self, move: Move) -> list[Parameter]:
        if move.stacked:
            raise UserError("newton on a population: one Hessian for all members", "sgd or adamw", "choose one")
        if any(map(is_sharded, move.parameters.values())):
            raise UserError("newton on several processes", "one process", "start it without torchrun")
        count = sum(parameter.numel() for parameter in move.parameters.values())
        if count > self.largest:
            raise UserError(
                f"newton on {count:,} parameters: the Hessian alone needs {count**2 * 8 / 2**30:,.1f} GiB",
                f"at most {self.largest:,}",
                "choose lbfgs, or a smaller model",
            )
        return list(move.parameters.values())

    def update(self, move: Move, loss: Loss, window: Sequence[Batch], state: list[Parameter], t: Clock) -> Aux:
        aux = window_gradient(loss, window)  # for the log, and so that batch-norm moments count the window once
        decayed = torch.cat([torch.full((p.numel(),), float(p.ndim > 1)) for p in state]).to(state[0].device).double()
        here = flat(state).double()
        gradient, hessian = gradient_and_hessian(loss, window, state)
        gradient = gradient + self.weight_decay * decayed * here
        hessian = hessian + self.weight_decay * torch.diag(decayed)
        aux.finite = finite(aux.log["loss"], [gradient]) & hessian.isfinite().all()
        if not aux.finite:
            return aux
        direction = -solve(hessian, gradient, self.damping)
        slope = gradient.dot(direction).item()

        def value() -> float:
            with torch.no_grad():
                risk = window_risk(loss, window).double().item()
            return risk + self.weight_decay / 2 * (decayed * flat(state).double().square()).sum().item()

        start, length = value(), 1.0
        for _ in range(self.halvings):
            write(state, here + length * direction)
            there = value()
            if math.isfinite(there) and there <= start + DECREASE * length * slope + 1e-7 * abs(start):
                break
            length /= 2
        else:
            length = 0.0
            write(state, here)
        aux.log |= {"step_size": here.new_tensor(length).float(), "gradient_norm": gradient.norm().float()}
        return aux

    def export(self, state: list[Parameter]) -> dict[str, Any]:
        return {}

    def restore(self, state: list[Parameter], saved: Mapping[str, Any]) -> None:
        assert not saved, "a rule without state was given one"


def solve(hessian: Tensor, gradient: Tensor, damping: float) -> Tensor:
    """(|H| + δI)⁻¹ g by the eigenvalues of H; directions without curvature and without damping are left out."""
    values, vectors = torch.linalg.eigh(hessian)
    curvature = values.abs() + damping
    floor = 1e-9 * curvature.max().clamp_min(1e-30)
    inverse = torch.where(curvature > floor, 1 / curvature, torch.zeros_like(curvature))
    return vectors @ (inverse * (vectors.T @ gradient))
