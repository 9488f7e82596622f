"""Second derivatives of a loss over many parameters as one vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from thetastar.functional.attention import in_plain_products
from thetastar.functional.nested import rows_of
from thetastar.protocols import Batch, Loss


def flat(parameters: Sequence[Tensor]) -> Tensor:
    """All parameters as one vector, without history."""
    return torch.cat([parameter.detach().reshape(-1) for parameter in parameters])


@torch.no_grad()
def write(parameters: Sequence[Tensor], vector: Tensor) -> None:
    """The inverse of `flat`, in place."""
    for parameter, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
        parameter.copy_(part.view(parameter.shape))


def window_risk(loss: Loss, window: Sequence[Batch]) -> Tensor:
    """Σᵢ wᵢ Lᵢ / Σᵢ wᵢ, wᵢ the weight of part i."""
    values: list[Tensor] = []
    weights: list[Tensor] = []
    for number, batch in enumerate(window):
        with in_plain_products():
            value, aux = loss(batch, number)
        values.append(value)
        weights.append(aux.weight if aux.weight is not None else value.new_tensor(float(rows_of(batch))))
    weight = torch.stack(weights)
    return (torch.stack(values) * weight).sum() / weight.sum()


def vector_product(risk: Tensor, parameters: Sequence[Parameter]) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The gradient g of a risk, and v ↦ H v by differentiating gᵀv; several v at once as rows.

    Source: Pearlmutter 1994, Fast exact multiplication by the Hessian.

    Shapes: (parameters,) → (parameters,), or (vectors, parameters) → (vectors, parameters).
    """
    parts = torch.autograd.grad(risk, parameters, create_graph=True, materialize_grads=True)
    gradient = torch.cat([part.reshape(-1) for part in parts])

    def product(vector: Tensor) -> Tensor:
        batched = vector.ndim == 2
        if not gradient.requires_grad:  # a risk that is linear in the parameters
            return torch.zeros_like(vector)
        rows = torch.autograd.grad(
            gradient,
            parameters,
            grad_outputs=vector.to(gradient.dtype),
            retain_graph=True,
            is_grads_batched=batched,
            materialize_grads=True,
        )
        return torch.cat([row.reshape(len(vector), -1) if batched else row.reshape(-1) for row in rows], -1)

    return gradient.detach(), product


def gradient_and_hessian(loss: Loss, window: Sequence[Batch], parameters: Sequence[Parameter]) -> tuple[Tensor, Tensor]:
    """∇L (n,) and ∇²L (n, n) in double precision, row by row through the graph of the gradient."""
    gradient, product = vector_product(window_risk(loss, window), parameters)
    rows = torch.eye(len(gradient), dtype=gradient.dtype, device=gradient.device)
    kernels = any(parameter.ndim > 2 for parameter in parameters)  # torch differentiates those for one row at a time
    found = map(product, rows if kernels else rows.split(64))
    hessian = (torch.stack([*found]) if kernels else torch.cat([*found])).double()
    return gradient.double(), (hessian + hessian.T) / 2
