"""First-order descent: what sgd, adam and their siblings share around the update rule itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from thetastar.functional.gradients import clip, finite, follow, gradients, window_gradient
from thetastar.functional.sharding import is_sharded, like
from thetastar.protocols import Algorithm, Aux, Batch, Clock, Loss, Move, Schedule

__all__: list[str] = []


@dataclass
class Descending:
    """A torch optimiser over one move, and the moving average of its parameters where one is asked for."""

    optimiser: torch.optim.Optimizer
    parameters: list[Parameter]
    average: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


class Descent(Algorithm):
    """θ ← θ − η_t · rule(g_t): schedule, clipping, weight averaging and the non-finite guard around a torch optimiser.

    Args:
        lr: peak step size η.
        schedule: its share of the peak over the run; None is constant.
        clip: rescale the gradient to at most this norm; None leaves it.
        ema: decay of the moving average of the weights that is evaluated instead of the live ones, at most
            (1 + t) / (10 + t) at step t; None for none.
    """

    def __init__(self, *, lr: float, schedule: Schedule | None, clip: float | None, ema: float | None) -> None:
        self.lr, self.schedule, self.clip, self.ema = lr, schedule, clip, ema

    @abstractmethod
    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        """The rule, as torch has it."""

    def decays(self, name: str, parameter: Tensor) -> bool:
        """Weight decay acts on matrices and kernels; biases and gains are left alone."""
        return parameter.ndim > 1

    def init(self, move: Move) -> Descending:
        shown = {n: p[0] if move.stacked else p for n, p in move.parameters.items()}
        decayed = [p for n, p in move.parameters.items() if self.decays(n, shown[n])]
        plain = [p for n, p in move.parameters.items() if not self.decays(n, shown[n])]
        groups: list[dict[str, Any]] = [{"params": decayed}] if decayed else []
        if plain:
            groups.append({"params": plain, "weight_decay": 0.0})
        sharded = any(map(is_sharded, move.parameters.values()))
        optimiser = self.optimiser(groups, None if sharded else True)
        average = {n: p.detach().clone() for n, p in move.parameters.items()} if self.ema is not None else {}
        return Descending(optimiser, list(move.parameters.values()), average)

    def update(self, move: Move, loss: Loss, window: Sequence[Batch], state: Descending, t: Clock) -> Aux:
        rate = self.lr * move.scale * (self.schedule.factor(t) if self.schedule else 1.0)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        for parameter in state.parameters:
            parameter.grad = None
        aux = window_gradient(loss, window)
        grads = gradients(state.parameters)
        if len(window) > 1:
            assert aux.weight is not None
            for grad in grads:
                grad.div_(aux.weight)
        aux.finite = finite(aux.log["loss"], grads)
        if self.clip is not None:
            aux.log["gradient_norm"] = clip(grads, self.clip, move.stacked)
        self._step(state.optimiser, aux.finite)
        if self.ema is not None:
            # a young average forgets faster, or the initial weights would weigh on every short run
            follow(list(state.average.values()), state.parameters, min(self.ema, (1 + t.step) / (10 + t.step)))
        return aux

    def _step(self, optimiser: torch.optim.Optimizer, allowed: Tensor) -> None:
        """Step where `allowed`. On a GPU fused optimisers read the flag on the device; elsewhere reading it is free."""
        if allowed.is_cuda and optimiser.defaults.get("fused"):
            optimiser.found_inf = (~allowed).float()  # type: ignore[attr-defined]
            optimiser.step()
        elif allowed:
            optimiser.step()

    def weights(self, state: Descending) -> dict[str, Tensor]:
        return state.average

    def export(self, state: Descending) -> dict[str, Any]:
        saved = state.optimiser.state_dict()
        return {"slots": {str(key): value for key, value in saved["state"].items()}, "average": state.average}

    def restore(self, state: Descending, saved: Mapping[str, Any]) -> None:
        current = state.optimiser.state_dict()
        order = [p for group in state.optimiser.param_groups for p in group["params"]]
        slots = {int(key): _laid_out(value, order[int(key)]) for key, value in saved.get("slots", {}).items()}
        state.optimiser.load_state_dict({"state": slots, "param_groups": current["param_groups"]})
        for name, value in saved.get("average", {}).items():
            state.average[name].copy_(like(value, state.average[name]))


def _laid_out(slot: Mapping[str, Any], parameter: Parameter) -> dict[str, Any]:
    """Moments in the memory layout of their parameter: fused kernels walk both in storage order."""
    return {
        name: like(value, parameter) if isinstance(value, Tensor) and value.shape == parameter.shape else value
        for name, value in slot.items()
    }
