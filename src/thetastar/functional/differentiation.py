"""Derivatives of any function of tensors, by differences and by the chain rule, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


def step_sizes(x: Tensor) -> Tensor:
    """h = ∛ε · max(1, |x|), the step of central differences.

    Truncation leaves an error of h² |f‴| / 6 and rounding one of ε |f| / h; their sum is least at (3 ε |f / f‴|)^⅓,
    which is about ∛ε where f and f‴ are of one size. Either is then about ε^⅔ ≈ 4 · 10⁻¹¹ in double precision.

    Source: Press, Teukolsky, Vetterling and Flannery 2007, Numerical recipes, section 5.7.
    """
    return torch.finfo(x.dtype).eps ** (1 / 3) * x.abs().clamp_min(1)


@torch.no_grad()
def numeric_jacobian(f: Function, x: Tensor) -> Tensor:
    """∂f_i / ∂x_j ≈ (f_i(x + h e_j) − f_i(x − h e_j)) / 2h: two evaluations an entry of x.

    Args:
        x: in double precision; in single precision five digits are lost.

    Shapes: f: (*in) → (*out); the result is (*out, *in).
    """
    flat, columns = x.reshape(-1), []
    for j, h in enumerate(step_sizes(flat)):
        ahead, behind = flat.clone(), flat.clone()
        ahead[j] += h
        behind[j] -= h
        rise = f(ahead.view_as(x)) - f(behind.view_as(x))
        columns.append(rise / (ahead[j] - behind[j]))  # what was really stepped, after rounding
    return torch.stack(columns, -1).view((*columns[0].shape, *x.shape))


def automatic_jacobian(f: Function, x: Tensor) -> Tensor:
    """∂f_i / ∂x_j by reverse accumulation, one pass backwards an entry of f. Shapes: as `numeric_jacobian`."""
    jacobian = torch.autograd.functional.jacobian(f, x)
    assert isinstance(jacobian, Tensor)
    return jacobian


def deviation(found: Tensor, expected: Tensor) -> float:
    """max |a − b| / max(|a|, |b|) with both maxima over all entries: 0 where both vanish."""
    size = max(found.abs().max().item(), expected.abs().max().item()) if found.numel() else 0.0
    return (found - expected).abs().max().item() / size if size else 0.0


@dataclass(frozen=True)
class Jacobians:
    """One Jacobian found in two ways, (*out, *in), and how far they are apart relative to the largest entry."""

    numeric: Tensor
    automatic: Tensor

    @property
    def deviation(self) -> float:
        return deviation(self.numeric, self.automatic)


def jacobians(f: Function, x: Tensor) -> Jacobians:
    """Of a function or a model at x; both in double precision, or the numeric one is of little use."""
    return Jacobians(numeric_jacobian(f, x), automatic_jacobian(f, x))
