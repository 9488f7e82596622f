"""Extreme eigenvalues of a symmetric matrix of which only products with vectors are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Ritz:
    """What a Krylov space of `steps` dimensions knows of the spectrum.

    Attributes:
        values: ascending (steps,).
        residuals: ‖A x − θ x‖ of each value's vector: an eigenvalue of A is not farther from θ than that.
    """

    values: Tensor
    residuals: Tensor

    @property
    def steps(self) -> int:
        return len(self.values)


def lanczos(
    product: Product, start: Tensor, steps: int, tolerance: float = 1e-6, heard: Callable[[int], None] | None = None
) -> Ritz:
    """A Q_k = Q_k T_k + β_k q_{k+1} e_kᵀ with Qᵀ Q = I; the eigenvalues of the tridiagonal T_k are those of A to
    within |β_k s_k|, s_k the last entry of each of its eigenvectors.

    Every vector is made orthogonal to all before it, twice, so that no eigenvalue appears again by rounding.

    Args:
        product: v ↦ A v.
        start: any vector with a part along the wanted eigenvectors, such as a random one.
        steps: products at most, ≥ 1.
        tolerance: stop where both extreme residuals are below this share of the largest |θ|.
        heard: is told the number of each product.

    Source: Lanczos 1950, An iteration method for the solution of the eigenvalue problem; full reorthogonalisation:
    Parlett 1998, The symmetric eigenvalue problem, chapter 13.
    """
    basis = [start / start.norm()]
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    while True:
        image = product(basis[-1])
        diagonal.append(basis[-1].dot(image))
        stacked = torch.stack(basis)  # (k, n)
        for _ in range(2):
            image = image - stacked.T @ (stacked @ image)
        beside.append(image.norm())
        found = ritz(diagonal, beside)
        if heard:
            heard(len(basis))
        bound = tolerance * found.values.abs().max()
        ends = max(found.residuals[0], found.residuals[-1])
        # a space that A maps into itself holds exact eigenvalues, and rounding is all that is left outside of it
        closed = beside[-1] <= 1e-12 * max(found.values.abs().max(), torch.finfo(start.dtype).tiny)
        if closed or ends <= bound or len(basis) == min(steps, len(start)):
            return found
        basis.append(image / beside[-1])


def ritz(diagonal: list[Tensor], beside: list[Tensor]) -> Ritz:
    """Eigenvalues of the tridiagonal matrix and their residuals; the last of `beside` couples to what is outside."""
    matrix = torch.diag(torch.stack(diagonal))
    if len(diagonal) > 1:
        off = torch.stack(beside[:-1])
        matrix = matrix + torch.diag(off, 1) + torch.diag(off, -1)
    values, vectors = torch.linalg.eigh(matrix)
    return Ritz(values, (beside[-1] * vectors[-1]).abs())


def trace_estimate(product: Product, like: Tensor, probes: int, draws: torch.Generator) -> tuple[float, float]:
    """tr A ≈ mean of zᵀ A z over z of random signs, and the standard error of that mean.

    Source: Hutchinson 1989, A stochastic estimator of the trace of the influence matrix for Laplacian smoothing
    splines.
    """
    signs = torch.randint(0, 2, (probes, len(like)), generator=draws, device="cpu").to(like) * 2 - 1
    values = torch.stack([sign.dot(product(sign)) for sign in signs])
    return values.mean().item(), (values.std() / probes**0.5).item()
