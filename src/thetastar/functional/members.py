"""How a first-order rule steps the members of a stack one by one: rates, penalties, and who is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from thetastar.functional.sharding import is_sharded, whole


def beside(values: Tensor, stack: Tensor) -> Tensor:
    """(members,) → (members, 1, …), to be multiplied with a stack of them, in its precision."""
    return values.to(stack.dtype).view(-1, *[1] * (stack.ndim - 1))


def rows(stack: Tensor) -> Tensor:
    """(members, …) → (members, numbers of one)."""
    return stack.reshape(len(stack), -1)


def mean_of(column: Tensor, counted: Tensor) -> Tensor:
    """The mean over the members that count."""
    return column.where(counted, 0).sum() / counted.sum()


def finite_each(losses: Tensor, grads: Sequence[Tensor]) -> Tensor:
    """Which members may step: what `gradients.finite` asks of one, of each; (members,)."""
    vectors = [grad for grad in grads if grad.ndim <= 2] or grads
    if is_sharded(vectors[0]):
        total = losses + torch.stack([whole(rows(grad).sum(1)) for grad in vectors]).sum(0)
    else:
        total = losses + torch.cat([rows(grad) for grad in vectors], 1).sum(1)
    return (total - total) == 0


def left_out(grads: Sequence[Tensor], allowed: Tensor) -> None:
    """Gradients of 0 for those who may not step, so that nothing that is not finite reaches the rule."""
    for grad in grads:
        grad.masked_fill_(~allowed.view(-1, *[1] * (grad.ndim - 1)), 0)


@torch.no_grad()
def decay(parameters: Sequence[Parameter], penalty: Tensor, rate: float | None) -> None:
    """g_k ← g_k + λ_k θ_k; decoupled, with the rate η, θ_k ← (1 − η λ_k) θ_k."""
    for parameter in parameters:
        if rate is not None:
            parameter.mul_(beside(1 - rate * penalty, parameter))
        elif parameter.grad is not None:
            parameter.grad.addcmul_(parameter, beside(penalty, parameter))


@torch.no_grad()
def step_by_shares(optimiser: torch.optim.Optimizer, before: Mapping[Parameter, Tensor], share: Tensor) -> None:
    """θ_k ← θ_k + s_k (step of θ_k); who has a share of 0 keeps its moments too, but for a count that all share.

    Args:
        optimiser: its rule acts on every entry for itself.
        before: what the parameters were, before any decay of this step.
        share: s in [0, 1] (members,).
    """
    kept = dict[Tensor, Tensor]()
    if share.is_cuda or not bool((share > 0).all()):
        kept = {slot: slot.clone() for slot in moments(optimiser)}
    optimiser.step()
    for parameter, old in before.items():
        parameter.copy_(torch.lerp(old, parameter, beside(share, parameter)))
    for slot, old in kept.items():
        slot.copy_(torch.where(beside(share, slot) > 0, slot, old))


def moments(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """What the rule remembers of every entry of its parameters."""
    return [
        slot
        for parameter, slots in optimiser.state.items()
        for slot in slots.values()
        if isinstance(slot, Tensor) and slot.shape == parameter.shape
    ]
