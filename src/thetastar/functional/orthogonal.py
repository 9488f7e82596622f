"""The orthogonal matrix nearest to a matrix, by multiplications alone."""

from __future__ import annotations

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # steepest at 0 among quintics that keep singular values in [0.7, 1.2]


@torch.no_grad()
def newton_schulz(matrix: Tensor, iterations: int = 5) -> Tensor:
    """U Vᵀ of X = U S Vᵀ, nearly: X ← a X + (b X Xᵀ + c (X Xᵀ)²) X from X / ‖X‖_F; singular values end near 1.

    Args:
        matrix: of any two sides.
        iterations: five take every singular value above a thousandth of the largest into [0.7, 1.2].

    Shapes: (rows, columns) → the same.

    Source: Higham 2008, Functions of matrices, chapter 8; the coefficients: Jordan et al. 2024, Muon.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix  # the product below is of the shorter side
    x = x / (torch.linalg.matrix_norm(x) + 1e-7)
    for _ in range(iterations):
        product = x @ x.T  # (rows, rows)
        x = a * x + (b * product + c * product @ product) @ x
    return x.T if tall else x
