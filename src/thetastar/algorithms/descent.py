"""First-order descent: what sgd, adam and their siblings share around the update rule itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.gradients import clip, finite, follow, gradients, shrink, window_gradient
from thetastar.functional.members import beside, decay, finite_each, left_out, step_by_shares
from thetastar.functional.sharding import is_sharded, like
from thetastar.functional.stepping import lean_step
from thetastar.protocols import Algorithm, Aux, Batch, Clock, Loss, Move, Schedule
from thetastar.registry import BelowOne, NonNegative, Positive

__all__: list[str] = []

OWN = ("lr", "weight_decay", "l1", "clip", "clip_value")  # what each member of a population can have for itself


@dataclass
class Heard:
    """Mean training loss of every finished epoch, for schedules that listen, and the sum over the present one."""

    losses: list[float] = field(default_factory=list[float])
    epoch: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    steps: int = 0

    def hear(self, loss: Tensor, epoch: int) -> None:
        if epoch != self.epoch:
            self.close(epoch)
        self.total = self.total.to(loss.device) + loss
        self.steps += 1

    def close(self, epoch: int) -> None:
        """The one moment of an epoch at which the host reads the loss."""
        if self.steps:
            self.losses.append((self.total / self.steps).item())
        self.epoch, self.total, self.steps = epoch, torch.zeros(()), 0


@dataclass
class Descending:
    """A torch optimiser over one move, the average of its parameters where one is asked for, what the schedule heard.

    `decayed` are the parameters that penalties act on; `averaged` counts the steps in a uniform average; `peak` is the
    largest of the rates that members of a stack have for themselves.
    """

    optimiser: torch.optim.Optimizer
    parameters: list[Parameter]
    decayed: list[Parameter]
    average: dict[str, Tensor]
    averaged: int = 0
    heard: Heard = field(default_factory=Heard)
    peak: float | None = None


@dataclass(kw_only=True, eq=False)
class Descent(Algorithm):
    """θ ← θ − η_t · rule(g_t): schedule, clipping, weight averaging and the non-finite guard around a torch optimiser.

    Args:
        lr: step size η at its peak, > 0; auto (`theta fit`) finds it by a range test.
        schedule: share of the peak over the run; null is constant.
        clip: largest norm of the gradient, which is rescaled to it; null leaves it.
        clip_value: largest size of each entry of the gradient; null leaves them.
        l1: λ₁ ≥ 0 of a proximal step after each update, θ ← sign(θ) max(|θ| − η_t λ₁, 0) on matrices and kernels:
            exact zeros (Parikh and Boyd 2014, Proximal algorithms).
        ema: decay of a moving average of the weights that is evaluated instead of the live ones, at most
            (1 + t) / (10 + t) at step t; null evaluates the live ones.
        swa: share of the run after which the weights of all steps are averaged evenly, and evaluated instead of the
            live ones (Izmailov et al. 2018, Averaging weights leads to wider optima); null for none.
    """

    lr: Positive
    schedule: Schedule | None = "cosine"  # type: ignore[assignment]
    clip: Positive | None = None
    clip_value: Positive | None = None
    l1: NonNegative = 0.0
    ema: BelowOne | None = None
    swa: BelowOne | None = None
    decoupled: ClassVar[bool] = False  # weight decay acts on the weights themselves, not through the gradient

    def __post_init__(self) -> None:
        if self.ema is not None and self.swa is not None:
            raise UserError(f"ema={self.ema} and swa={self.swa}", "one kind of average", "leave one of them out")

    @abstractmethod
    def optimiser(self, groups: list[dict[str, Any]], fused: bool | None) -> torch.optim.Optimizer:
        """The rule, as torch has it."""

    def decays(self, name: str, parameter: Tensor) -> bool:
        """Weight decay acts on matrices and kernels; biases and gains are left alone."""
        return parameter.ndim > 1

    def groups(self, move: Move) -> list[dict[str, Any]]:
        """The parameters of a move, apart by what the rule does to them; each group knows its parameters' names."""
        decayed, plain = self.parted(move)
        groups: list[dict[str, Any]] = [{"params": list(decayed.values())}] if decayed else []
        if groups and "weight_decay" in move.own:
            groups[0]["weight_decay"] = 0.0  # each member's own is done beside the rule
        if plain:
            groups.append({"params": list(plain.values()), "weight_decay": 0.0})
        return groups

    def parted(self, move: Move) -> tuple[dict[str, Parameter], dict[str, Parameter]]:
        """Parameters that decay, and the others."""
        decayed = {n: p for n, p in move.parameters.items() if self.decays(n, p[0] if move.stacked else p)}
        return decayed, {n: p for n, p in move.parameters.items() if n not in decayed}

    def init(self, move: Move) -> Descending:
        sharded = any(map(is_sharded, move.parameters.values()))
        for name, values in move.own.items():
            self._check_own(name, values)
            if sharded:
                raise UserError(f"{name} that varies on several processes", "one process", "leave torchrun out")
        optimiser = self.optimiser(self.groups(move), None if sharded else True)
        kept = self.ema is not None or self.swa is not None
        average = {n: p.detach().clone() for n, p in move.parameters.items()} if kept else {}
        decayed = list(self.parted(move)[0].values())
        peak = float(move.own["lr"].max()) if "lr" in move.own else None
        return Descending(optimiser, list(move.parameters.values()), decayed, average, peak=peak)

    def update(self, move: Move, loss: Loss, window: Sequence[Batch], state: Descending, t: Clock) -> Aux:
        rate = (state.peak or self.lr) * move.scale * self._factor(state, t)
        for group in state.optimiser.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        for parameter in state.parameters:
            parameter.grad = None
        aux = window_gradient(loss, window)
        grads = gradients(state.parameters)
        if len(window) > 1:
            assert aux.weight is not None
            for grad in grads:
                grad.div_(aux.weight)
        share = aux.finite = self._finite(move, aux, grads)
        if (limit := move.own.get("clip", self.clip)) is not None:
            aux.log["gradient_norm"] = clip(grads, limit, move.stacked)
        if (limit := move.own.get("clip_value", self.clip_value)) is not None:
            for grad in grads:
                bound: Any = beside(limit, grad) if isinstance(limit, Tensor) else limit
                grad.clamp_(-bound, bound)
        if move.stacked:
            share = self._step_members(move, aux, state, rate)
        else:
            self._step(state.optimiser, aux.finite)
        if "l1" in move.own or self.l1:
            shrink(state.decayed, rate * move.own.get("l1", self.l1) * share.double())
        if state.average:
            self._average(state, t)
        if self.schedule and self.schedule.listens:
            state.heard.hear(aux.log["loss"], t.epoch)
        return aux

    def _finite(self, move: Move, aux: Aux, grads: Sequence[Tensor]) -> Tensor:
        """Whether the step may be taken, of a stack by any member; the gradients of those that may not become 0."""
        if not move.stacked:
            return finite(aux.log["loss"], grads)
        assert aux.each is not None
        aux.allowed = finite_each(aux.each, grads)
        if is_sharded(grads[0]):  # members are cut over processes: a step is taken by all or by none
            aux.allowed = aux.allowed.all().expand(len(aux.allowed))
        elif aux.allowed.is_cuda or not bool(aux.allowed.all()):
            left_out(grads, aux.allowed)
        return aux.allowed.any()

    def _step_members(self, move: Move, aux: Aux, state: Descending, rate: float) -> Tensor:
        """The step that each member takes by its own rate and decay; its size as a share of the largest."""
        assert aux.allowed is not None
        assert aux.finite is not None
        allowed = aux.allowed if move.active is None else aux.allowed & move.active
        share = allowed.double()
        if is_sharded(state.parameters[0]):  # who rests moves on there; what it ends with is kept elsewhere
            self._step(state.optimiser, aux.finite)
            return share
        if "lr" in move.own:
            share = share * (move.own["lr"] / (state.peak or self.lr))
        alike = not share.is_cuda and bool((share == 1).all())
        if not alike and not share.is_cuda and not bool(allowed.any()):
            return share
        before = {} if alike else {parameter: parameter.detach().clone() for parameter in state.parameters}
        if "weight_decay" in move.own:
            decay(state.decayed, move.own["weight_decay"], rate if self.decoupled else None)
        if alike:
            lean_step(state.optimiser)
        else:
            step_by_shares(state.optimiser, before, share)
        return share

    def _check_own(self, name: str, values: Tensor) -> None:
        """Refuse what members cannot have for themselves."""
        rule, known = type(self).__name__, registry.arguments(type(self))
        if name not in known or name not in OWN:
            names = ", ".join(own for own in OWN if own in known)
            raise UserError(f"{rule} with {name} that varies in a population", names, "leave it out of method.vary")
        for value in values.tolist():
            registry.check(known[name].annotation, value, f"method.vary.algorithm.{name}")

    def _factor(self, state: Descending, t: Clock) -> float:
        if not self.schedule:
            return 1.0
        if self.schedule.listens and state.heard.epoch != t.epoch:
            state.heard.close(t.epoch)
        return self.schedule.factor(t, state.heard.losses)

    def _step(self, optimiser: torch.optim.Optimizer, allowed: Tensor) -> None:
        """Step where `allowed`. On a GPU fused optimisers read the flag on the device; elsewhere reading it is free."""
        if allowed.is_cuda and optimiser.defaults.get("fused"):
            optimiser.found_inf = (~allowed).float()  # type: ignore[attr-defined]
            optimiser.step()
        elif allowed:
            lean_step(optimiser)

    def _average(self, state: Descending, t: Clock) -> None:
        averages = list(state.average.values())
        if self.ema is not None:
            # a young average forgets faster, or the initial weights would weigh on every short run
            follow(averages, state.parameters, min(self.ema, (1 + t.step) / (10 + t.step)))
        elif self.swa is not None and t.step >= self.swa * t.steps:
            follow(averages, state.parameters, state.averaged / (state.averaged + 1))  # the mean of all so far
            state.averaged += 1

    def weights(self, state: Descending) -> dict[str, Tensor]:
        return state.average if self.swa is None or state.averaged else {}

    def export(self, state: Descending) -> dict[str, Any]:
        slots = {str(key): value for key, value in state.optimiser.state_dict()["state"].items()}
        saved: dict[str, Any] = {"slots": slots, "average": state.average, "averaged": state.averaged}
        return saved | ({"heard": vars(state.heard)} if state.heard.steps or state.heard.losses else {})

    def restore(self, state: Descending, saved: Mapping[str, Any]) -> None:
        current = state.optimiser.state_dict()
        order = [p for group in state.optimiser.param_groups for p in group["params"]]
        slots = {int(key): _laid_out(value, order[int(key)]) for key, value in saved.get("slots", {}).items()}
        state.optimiser.load_state_dict({"state": slots, "param_groups": current["param_groups"]})
        for name, value in saved.get("average", {}).items():
            state.average[name].copy_(like(value, state.average[name]))
        state.averaged = saved.get("averaged", 0)
        if "heard" in saved:
            state.heard = Heard(**saved["heard"])


def _laid_out(slot: Mapping[str, Any], parameter: Parameter) -> dict[str, Any]:
    """Moments in the memory layout of their parameter: fused kernels walk both in storage order."""
    return {
        name: like(value, parameter) if isinstance(value, Tensor) and value.shape == parameter.shape else value
        for name, value in slot.items()
    }
