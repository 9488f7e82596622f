"""What every gradient step shares: the window's mean gradient, its norm, its guard against non-finite values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from thetastar.functional.members import beside, rows
from thetastar.functional.nested import rows_of
from thetastar.functional.sharding import is_sharded, whole
from thetastar.protocols import Aux, Batch, Loss


def window_gradient(loss: Loss, window: Sequence[Batch]) -> Aux:
    """Leave d/dθ Σᵢ wᵢ Lᵢ / Σᵢ wᵢ in `.grad`, wᵢ the weight of part i: equal to one large batch, also when ragged."""
    if len(window) == 1:
        value, aux = loss(window[0], 0)
        value.backward()
        aux.log["loss"] = value.detach()
        return aux
    weights: list[Tensor] = []
    values: list[Tensor] = []
    parts: list[Aux] = []
    for number, batch in enumerate(window):
        value, aux = loss(batch, number)
        weight = aux.weight if aux.weight is not None else value.new_tensor(float(rows_of(batch)))
        (value * weight).backward()
        weights.append(weight)
        values.append(value.detach())
        parts.append(aux)
    weight = torch.stack(weights)
    share = weight / weight.sum()
    log = {key: (torch.stack([aux.log[key].float() for aux in parts]) * share).sum() for key in parts[0].log}
    log["loss"] = (torch.stack(values) * share).sum()
    carry = {key: torch.cat([aux.carry[key] for aux in parts]) for key in parts[0].carry}
    each = [aux.each for aux in parts if aux.each is not None]
    return Aux(log, carry, weight.sum(), each=(torch.stack(each) * share[:, None]).sum(0) if each else None)


@torch.no_grad()
def follow(averages: Sequence[Tensor], values: Sequence[Tensor], momentum: float) -> None:
    """θ̄ ← momentum · θ̄ + (1 − momentum) · θ in place."""
    torch._foreach_lerp_(list(averages), list(values), 1.0 - momentum)  # pyright: ignore[reportPrivateImportUsage]


def gradients(parameters: Iterable[Parameter]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """‖(g₁, …, g_n)‖₂ over all tensors; sharded ones count whole."""
    if not tensors:
        return torch.zeros(())
    norms: Sequence[Tensor] = torch._foreach_norm(list(tensors))  # pyright: ignore[reportPrivateImportUsage]
    return torch.linalg.vector_norm(torch.stack([whole(part) for part in norms]))


def clip(tensors: Sequence[Tensor], limit: float | Tensor, stacked: bool = False) -> Tensor:
    """g ← g · min(1, limit / ‖g‖₂) in place, each member of a stack by its own norm; the (largest) norm before."""
    if not stacked:
        size = norm(tensors)
        factor = (limit / (size + 1e-6)).clamp(max=1.0)
        for tensor in tensors:
            tensor.mul_(factor)
        return size
    each = torch.stack([rows(tensor).norm(dim=1) for tensor in tensors]).norm(dim=0)  # (members,)
    factor = (limit / (each + 1e-6)).clamp(max=1.0)
    for tensor in tensors:
        tensor.mul_(beside(factor, tensor))
    return whole(each.max())


@torch.no_grad()
def shrink(tensors: Sequence[Tensor], threshold: Tensor) -> None:
    """θ ← sign(θ) max(|θ| − τ, 0) in place: the proximal step of τ ‖θ‖₁; of a stack with one τ a member."""
    for tensor in tensors:
        own = beside(threshold, tensor) if threshold.ndim else threshold
        tensor.copy_(tensor.sign() * (tensor.abs() - own).clamp_min(0))


def finite(loss: Tensor, grads: Sequence[Tensor]) -> Tensor:
    """Whether the step may be taken, on the device.

    Looks at the loss and at the gradients of vectors (biases, norm gains): a non-finite error signal at a layer shows
    in its bias gradient, so this costs microseconds where a pass over all weights would cost a twentieth of a step.
    """
    vectors = [grad if grad.ndim else grad.reshape(1) for grad in grads if grad.ndim <= 1]
    total = torch.cat(vectors).sum() if vectors and not is_sharded(vectors[0]) else norm(vectors or grads)
    if not loss.is_cuda:  # where the host computes, it can look
        return torch.tensor(math.isfinite(loss.item() + total.item()))
    total = loss + total
    return (total - total) == 0  # false for inf and nan, in two kernels
