"""What stands between two layers, by name."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from thetastar.functional.activations import ACTIVATIONS, prelu

Activation = Literal[
    "relu", "leaky_relu", "prelu", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "hardswish", "softplus",
    "sigmoid", "tanh", "identity",
]  # fmt: skip


class Elementwise(nn.Module):
    """φ of functional/activations.py, entry by entry."""

    def __init__(self, name: Activation) -> None:
        super().__init__()
        self.name = name
        self.value = ACTIVATIONS[name].value

    def forward(self, x: Tensor) -> Tensor:
        return self.value(x)

    def extra_repr(self) -> str:
        return self.name


class Prelu(nn.Module):
    """x where x > 0, else a x, with one learnt a a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([0.25]))  # He et al. 2015

    def forward(self, x: Tensor) -> Tensor:
        return prelu(x, self.slope)


def phi(name: Activation) -> nn.Module:
    return Prelu() if name == "prelu" else Elementwise(name)
