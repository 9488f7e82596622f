"""Limited-memory BFGS with a line search that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from thetastar.errors import UserError
from thetastar.functional.curvature import flat, write
from thetastar.functional.gradients import finite, window_gradient
from thetastar.protocols import Algorithm, Aux, Batch, Clock, Loss, Move
from thetastar.registry import Count, NonNegative

__all__ = ["lbfgs"]

DECREASE, CURVATURE = 1e-4, 0.9  # Nocedal and Wright's constants for quasi-Newton steps


@dataclass
class Memory:
    """The parameters of a move and the last pairs (s, y) of a step and the change of the gradient along it."""

    parameters: list[Parameter]
    pairs: list[tuple[Tensor, Tensor]] = field(default_factory=list[tuple[Tensor, Tensor]])


class lbfgs(Algorithm):
    """θ ← θ + t d, d = −H g, H ≈ (∇²L)⁻¹ from the last `history` pairs (s_i, y_i), t by a strong Wolfe line search.

    One step takes several evaluations of its window, all with the same randomness. It needs the exact loss: give it the
    whole training split as one batch (data.batch_size); on small batches curvature and search follow the noise.

    Args:
        history: pairs kept, ≥ 1.
        evaluations: of the loss along a direction at most, ≥ 1.
        weight_decay: λ ≥ 0; λ/2 ‖W‖² of matrices and kernels is added to the loss.

    Source: Liu and Nocedal 1989, On the limited memory BFGS method for large scale optimization; Nocedal and Wright
    2006, Numerical optimization, algorithms 3.5, 3.6 and 7.4.
    """

    def __init__(self, *, history: Count = 10, evaluations: Count = 25, weight_decay: NonNegative = 0.0) -> None:
        self.history, self.evaluations, self.weight_decay = history, evaluations, weight_decay

    def init(self, move: Move) -> Memory:
        if move.stacked:
            raise UserError("lbfgs on a population: one line search for all members", "sgd or adamw", "choose one")
        if any(hasattr(parameter, "full_tensor") for parameter in move.parameters.values()):
            raise UserError("lbfgs on several processes", "one process", "start it without torchrun")
        return Memory(list(move.parameters.values()))

    def update(self, move: Move, loss: Loss, window: Sequence[Batch], state: Memory, t: Clock) -> Aux:
        start = flat(state.parameters)
        aux, value, gradient = self._evaluate(loss, window, state)
        aux.finite = finite(torch.tensor(value), [gradient])
        if not aux.finite:
            return aux
        direction = -newton(gradient, state.pairs)
        if gradient.dot(direction) >= 0:  # the pairs have lost touch with the loss
            state.pairs.clear()
            direction = -gradient
        slope = gradient.dot(direction).item()
        seen = {0.0: gradient}

        def along(length: float) -> tuple[float, float]:
            write(state.parameters, start + length * direction)
            _, there, seen[length] = self._evaluate(loss, window, state)
            return there, seen[length].dot(direction).item()

        first = 1.0 if state.pairs else min(1.0, 1.0 / max(gradient.abs().sum().item(), 1e-12))
        length = strong_wolfe(along, value, slope, first, self.evaluations) if slope < 0 else 0.0
        write(state.parameters, start + length * direction if length else start)
        self._remember(state, length * direction, seen[length] - gradient)
        aux.log |= {"step_size": start.new_tensor(length), "gradient_norm": gradient.norm()}
        return aux

    def _evaluate(self, loss: Loss, window: Sequence[Batch], state: Memory) -> tuple[Aux, float, Tensor]:
        """What the loss says at the current parameters, its value with the penalty, and the gradient of that."""
        for parameter in state.parameters:
            parameter.grad = None
        aux = window_gradient(loss, window)
        share = aux.weight if len(window) > 1 and aux.weight is not None else torch.ones(())
        value, parts = aux.log["loss"].double(), []
        for parameter in state.parameters:
            part = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad / share
            if self.weight_decay and parameter.ndim > 1:
                part = part + self.weight_decay * parameter.detach()
                value = value + self.weight_decay / 2 * parameter.detach().double().square().sum()
            parts.append(part.reshape(-1))
        return aux, value.item(), torch.cat(parts)

    def _remember(self, state: Memory, step: Tensor, change: Tensor) -> None:
        """Keep a pair that says something of the curvature; start again where the search found no lower point."""
        if not step.any():
            state.pairs.clear()
        elif step.dot(change) > 1e-10 * change.dot(change):
            state.pairs.append((step, change))
            del state.pairs[: -self.history]

    def export(self, state: Memory) -> dict[str, Any]:
        return {"pairs": [list(pair) for pair in state.pairs]}

    def restore(self, state: Memory, saved: Mapping[str, Any]) -> None:
        state.pairs = [(step.to(state.parameters[0].device), change.to(step.device)) for step, change in saved["pairs"]]


def newton(gradient: Tensor, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """H g by the two loops over the pairs, oldest first, from H₀ = (sᵀy / yᵀy) I of the newest pair."""
    q, weights = gradient.clone(), []
    for step, change in reversed(pairs):
        weights.append(step.dot(q) / step.dot(change))
        q -= weights[-1] * change
    if pairs:
        step, change = pairs[-1]
        q *= step.dot(change) / change.dot(change)
    for (step, change), weight in zip(pairs, reversed(weights), strict=True):
        q += (weight - change.dot(q) / step.dot(change)) * step
    return q


class Point(NamedTuple):
    """φ(t) and φ′(t) at a step length t."""

    length: float
    value: float
    slope: float


def strong_wolfe(
    phi: Callable[[float], tuple[float, float]], value: float, slope: float, first: float, evaluations: int
) -> float:
    """A length t with φ(t) ≤ φ(0) + c₁ t φ′(0) and |φ′(t)| ≤ −c₂ φ′(0).

    A non-finite φ counts as too high. Where `evaluations` run out: the best length that decreases enough, or 0.

    Args:
        phi: t ↦ (φ(t), φ′(t)).
        value, slope: φ(0) and φ′(0) < 0.
        first: length that is tried first, > 0.
        evaluations: of φ at most.
    """
    zero = low = Point(0.0, value, slope)
    high: Point | None = None
    length = first
    for _ in range(evaluations):
        point = Point(length, *phi(length))
        bound = zero.value + DECREASE * length * zero.slope
        if not math.isfinite(point.value) or point.value > bound or (low is not zero and point.value >= low.value):
            high = point
        elif abs(point.slope) <= -CURVATURE * zero.slope:
            return length
        else:
            if high is None:
                high = low if point.slope >= 0 else None
            elif point.slope * (high.length - low.length) >= 0:
                high = low
            low = point
        if high is not None and abs(high.length - low.length) <= 1e-9 * max(high.length, low.length):
            break
        length = 2.0 * low.length if high is None else _between(low, high)
    return low.length


def _between(low: Point, high: Point) -> float:
    """The minimum of the cubic through two points, or their middle; not within a tenth of either."""
    width = high.length - low.length
    middle = low.length + width / 2
    if not (math.isfinite(high.value) and math.isfinite(high.slope)):
        return middle
    d1 = low.slope + high.slope - 3 * (low.value - high.value) / (low.length - high.length)
    square = d1 * d1 - low.slope * high.slope
    if square < 0:
        return middle
    d2 = math.copysign(math.sqrt(square), width)
    bottom = high.slope - low.slope + 2 * d2
    if bottom == 0:
        return middle
    length = high.length - width * (high.slope + d2 - d1) / bottom
    ends = sorted((low.length + 0.1 * width, high.length - 0.1 * width))
    return min(max(length, ends[0]), ends[1])
