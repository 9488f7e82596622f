"""Weights before the first step, one function a rule: (shape) → weights drawn from torch's default generator.

A weight is (outputs, inputs) of a dense layer or (outputs, inputs, *kernel) of a convolution; n_in = inputs · kernel
and n_out = outputs · kernel are how many numbers enter and leave a unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(n_in, n_out) of a weight."""
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def normal(shape: Sequence[int], variance: float) -> Tensor:
    """w ~ N(0, σ²)."""
    return torch.randn(*shape) * math.sqrt(variance)


def uniform(shape: Sequence[int], variance: float) -> Tensor:
    """w ~ U(−√3 σ, √3 σ), which has variance σ²."""
    return torch.empty(*shape).uniform_(-1, 1) * math.sqrt(3 * variance)


def xavier_variance(shape: Sequence[int]) -> float:
    """σ² = 2 / (n_in + n_out): between 1/n_in, which keeps the variance of signals, and 1/n_out, that of gradients.

    Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
    """
    return 2 / sum(fans(shape))


def he_variance(shape: Sequence[int]) -> float:
    """σ² = 2 / n_in: twice as much as for a linear layer, since ReLU lets half of the second moment pass.

    Source: He, Zhang, Ren and Sun 2015, Delving deep into rectifiers.
    """
    return 2 / fans(shape)[0]


def lecun_variance(shape: Sequence[int]) -> float:
    """σ² = 1 / n_in: a sum of n_in products of unit variance has unit variance.

    Source: LeCun, Bottou, Orr and Müller 1998, Efficient backprop.
    """
    return 1 / fans(shape)[0]


def xavier_normal(shape: Sequence[int]) -> Tensor:
    """w ~ N(0, 2 / (n_in + n_out))."""
    return normal(shape, xavier_variance(shape))


def xavier_uniform(shape: Sequence[int]) -> Tensor:
    """w ~ U(±√(6 / (n_in + n_out)))."""
    return uniform(shape, xavier_variance(shape))


def he_normal(shape: Sequence[int]) -> Tensor:
    """w ~ N(0, 2 / n_in)."""
    return normal(shape, he_variance(shape))


def he_uniform(shape: Sequence[int]) -> Tensor:
    """w ~ U(±√(6 / n_in))."""
    return uniform(shape, he_variance(shape))


def lecun_normal(shape: Sequence[int]) -> Tensor:
    """w ~ N(0, 1 / n_in)."""
    return normal(shape, lecun_variance(shape))


def lecun_uniform(shape: Sequence[int]) -> Tensor:
    """w ~ U(±√(3 / n_in))."""
    return uniform(shape, lecun_variance(shape))


def orthogonal(shape: Sequence[int]) -> Tensor:
    """W Wᵀ = I where outputs ≤ n_in, else WᵀW = I: every singular value is 1; uniform over all such matrices.

    W is the Q of a Gaussian matrix, with signs that make the diagonal of R positive.

    Source: Saxe, McClelland and Ganguli 2014, Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks; Mezzadri 2007, How to generate random matrices from the classical compact groups.
    """
    rows, columns = shape[0], fans(shape)[0]
    q, r = torch.linalg.qr(torch.randn(max(rows, columns), min(rows, columns)))
    q = q * r.diagonal().sign()
    return (q if rows >= columns else q.T).reshape(*shape)


def constant(shape: Sequence[int]) -> Tensor:
    """w = 1 / n_in: every unit is the mean of its inputs, so all units of a layer stay alike."""
    return torch.full(tuple(shape), 1 / fans(shape)[0])


def zeros(shape: Sequence[int]) -> Tensor:
    """w = 0: all units of a layer are alike, and stay so, since they get the same gradient."""
    return torch.zeros(*shape)


RULES: dict[str, Callable[[Sequence[int]], Tensor]] = {
    rule.__name__: rule
    for rule in (
        xavier_uniform, xavier_normal, he_uniform, he_normal, lecun_uniform, lecun_normal, orthogonal, constant, zeros,
    )
}  # fmt: skip
