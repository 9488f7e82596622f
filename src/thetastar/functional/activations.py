"""Activations φ(x) and their derivatives φ′(x) in closed form: pure functions, entry by entry, and softmax.

σ(x) = 1 / (1 + e⁻ˣ) throughout; Φ is the distribution function of the standard normal and ϕ its density.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # mean 0 and variance 1 are a fixed point (Klambauer)
GELU_CUBIC = 0.044715  # of Hendrycks and Gimpel's approximation


def relu(x: Tensor) -> Tensor:
    """max(0, x).

    Source: Nair and Hinton 2010, Rectified linear units improve restricted Boltzmann machines.
    """
    return F.relu(x)


def relu_derivative(x: Tensor) -> Tensor:
    """1 where x > 0, else 0; at the kink itself 0."""
    return (x > 0).to(x.dtype)


def leaky_relu(x: Tensor, slope: float = 0.01) -> Tensor:
    """x where x > 0, else a x with a = 0.01.

    Source: Maas, Hannun and Ng 2013, Rectifier nonlinearities improve neural network acoustic models.
    """
    return F.leaky_relu(x, slope)


def leaky_relu_derivative(x: Tensor, slope: float = 0.01) -> Tensor:
    """1 where x > 0, else a."""
    return torch.where(x > 0, torch.ones_like(x), slope)


def prelu(x: Tensor, slope: Tensor | float = 0.25) -> Tensor:
    """x where x > 0, else a x with a learnt, 0.25 at the start.

    Source: He, Zhang, Ren and Sun 2015, Delving deep into rectifiers.
    """
    return F.prelu(x, torch.as_tensor(slope, dtype=x.dtype, device=x.device).reshape(1))


def prelu_derivative(x: Tensor, slope: Tensor | float = 0.25) -> Tensor:
    """1 where x > 0, else a; in a it is 0 where x > 0, else x."""
    return torch.where(x > 0, torch.ones_like(x), slope)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else α (eˣ − 1) with α = 1.

    Source: Clevert, Unterthiner and Hochreiter 2016, Fast and accurate deep network learning by ELUs.
    """
    return F.elu(x, alpha)


def elu_derivative(x: Tensor, alpha: float = 1.0) -> Tensor:
    """1 where x > 0, else α eˣ."""
    return torch.where(x > 0, torch.ones_like(x), alpha * x.clamp(max=0).exp())


def selu(x: Tensor) -> Tensor:
    """λ x where x > 0, else λ α (eˣ − 1), with λ = 1.0507 and α = 1.6733.

    Source: Klambauer, Unterthiner, Mayr and Hochreiter 2017, Self-normalizing neural networks.
    """
    return F.selu(x)


def selu_derivative(x: Tensor) -> Tensor:
    """λ where x > 0, else λ α eˣ."""
    return SELU_SCALE * elu_derivative(x, SELU_ALPHA)


def gelu(x: Tensor) -> Tensor:
    """x Φ(x).

    Source: Hendrycks and Gimpel 2016, Gaussian error linear units.
    """
    return F.gelu(x)


def gelu_derivative(x: Tensor) -> Tensor:
    """Φ(x) + x ϕ(x)."""
    density = (-0.5 * x.square()).exp() / math.sqrt(2 * math.pi)
    return torch.special.ndtr(x) + x * density


def gelu_tanh(x: Tensor) -> Tensor:
    """x (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³).

    Source: Hendrycks and Gimpel 2016, Gaussian error linear units.
    """
    return F.gelu(x, approximate="tanh")


def gelu_tanh_derivative(x: Tensor) -> Tensor:
    """(1 + tanh u) / 2 + x (1 − tanh² u) u′ / 2 with u′ = √(2/π) (1 + 3 · 0.044715 x²)."""
    scale = math.sqrt(2 / math.pi)
    t = torch.tanh(scale * (x + GELU_CUBIC * x**3))
    return (1 + t) / 2 + x * (1 - t.square()) * scale * (1 + 3 * GELU_CUBIC * x.square()) / 2


def sigmoid(x: Tensor) -> Tensor:
    """σ(x).

    Source: Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors.
    """
    return torch.sigmoid(x)


def sigmoid_derivative(x: Tensor) -> Tensor:
    """σ(x) (1 − σ(x)) = σ(x) σ(−x)."""
    return torch.sigmoid(x) * torch.sigmoid(-x)


def tanh(x: Tensor) -> Tensor:
    """tanh x = 2 σ(2x) − 1.

    Source: LeCun, Bottou, Orr and Müller 1998, Efficient backprop.
    """
    return torch.tanh(x)


def tanh_derivative(x: Tensor) -> Tensor:
    """1 − tanh² x."""
    return 1 - torch.tanh(x).square()


def softplus(x: Tensor) -> Tensor:
    """log(1 + eˣ).

    Source: Dugas, Bengio, Bélisle, Nadeau and Garcia 2001, Incorporating second-order functional knowledge.
    """
    return F.softplus(x)


def softplus_derivative(x: Tensor) -> Tensor:
    """σ(x)."""
    return torch.sigmoid(x)


def silu(x: Tensor) -> Tensor:
    """x σ(x), also called swish.

    Source: Ramachandran, Zoph and Le 2017, Searching for activation functions.
    """
    return F.silu(x)


def silu_derivative(x: Tensor) -> Tensor:
    """σ(x) (1 + x σ(−x))."""
    return torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))


def mish(x: Tensor) -> Tensor:
    """x tanh(log(1 + eˣ)).

    Source: Misra 2020, Mish: a self regularized non-monotonic activation function.
    """
    return F.mish(x)


def mish_derivative(x: Tensor) -> Tensor:
    """t + x (1 − t²) σ(x) with t = tanh(log(1 + eˣ))."""
    t = torch.tanh(F.softplus(x))
    return t + x * (1 - t.square()) * torch.sigmoid(x)


def hardswish(x: Tensor) -> Tensor:
    """x min(max(x + 3, 0), 6) / 6.

    Source: Howard et al. 2019, Searching for MobileNetV3.
    """
    return F.hardswish(x)


def hardswish_derivative(x: Tensor) -> Tensor:
    """0 where x < −3, 1 where x > 3, else (2x + 3) / 6."""
    return torch.where(x.abs() <= 3, (2 * x + 3) / 6, relu_derivative(x))


def identity(x: Tensor) -> Tensor:
    """x.

    Layers with nothing between them are one linear map.

    Source: Rosenblatt 1958, The perceptron.
    """
    return x


def identity_derivative(x: Tensor) -> Tensor:
    """1."""
    return torch.ones_like(x)


@dataclass(frozen=True)
class Activation:
    """φ and φ′."""

    value: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]

    @property
    def equation(self) -> str:
        return (self.value.__doc__ or "").split("\n", 1)[0]


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(relu, relu_derivative),
    "leaky_relu": Activation(leaky_relu, leaky_relu_derivative),
    "prelu": Activation(prelu, prelu_derivative),
    "elu": Activation(elu, elu_derivative),
    "selu": Activation(selu, selu_derivative),
    "gelu": Activation(gelu, gelu_derivative),
    "gelu_tanh": Activation(gelu_tanh, gelu_tanh_derivative),
    "silu": Activation(silu, silu_derivative),
    "mish": Activation(mish, mish_derivative),
    "hardswish": Activation(hardswish, hardswish_derivative),
    "softplus": Activation(softplus, softplus_derivative),
    "sigmoid": Activation(sigmoid, sigmoid_derivative),
    "tanh": Activation(tanh, tanh_derivative),
    "identity": Activation(identity, identity_derivative),
}


def softmax(x: Tensor, temperature: float = 1.0) -> Tensor:
    """p_j = exp(x_j / τ) / Σ_k exp(x_k / τ) over the last axis; τ → 0 is the largest entry, τ → ∞ even shares.

    Source: Bridle 1990, Probabilistic interpretation of feedforward classification network outputs.

    Shapes: (…, classes) → (…, classes).
    """
    return torch.softmax(x / temperature, -1)


def softmax_jacobian(x: Tensor, temperature: float = 1.0) -> Tensor:
    """∂p_j / ∂x_k = p_j (1[j = k] − p_k) / τ, that is (diag(p) − p pᵀ) / τ.

    Shapes: (…, classes) → (…, classes, classes).
    """
    p = softmax(x, temperature)
    return (torch.diag_embed(p) - p[..., :, None] * p[..., None, :]) / temperature
