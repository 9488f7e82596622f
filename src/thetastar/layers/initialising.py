"""Weights before the first step, by name or by what stands between the layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import nn

from thetastar.functional.initialising import RULES
from thetastar.layers.activation import Activation

Init = Literal[
    "auto", "xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal",
    "orthogonal", "constant", "zeros",
]  # fmt: skip
DEEP = 4
LINEAR_AT_ZERO = ("tanh", "sigmoid", "identity")


def rule_for(activation: Activation) -> str:
    """He where about half of a signal passes, Xavier where φ is linear about 0, LeCun for SELU, which rests on it."""
    if activation == "selu":
        return "lecun_normal"
    return "xavier_normal" if activation in LINEAR_AT_ZERO else "he_normal"


def initialise(hidden: nn.Module, head: nn.Module, init: Init, activation: Activation) -> None:
    """Draw the weights of dense layers and convolutions in place; biases become 0.

    A rule that is named holds for the head too. "auto" takes that of the activation for hidden layers, if there are at
    least four of them. Fewer neither lose nor blow up signals, and stay at U(±1/√n_in), a third of LeCun's variance:
    over five paired seeds, two layers of 512 and 256 ReLUs that began with He's were 0.4 points better on digits and
    1.8 worse on mnist1d (0.2 and 2.4 worse with tanh and Xavier's). Sixteen layers of 128 ReLUs came to 98% on digits
    with He's, to 68% without.
    """
    layers = list(weighted(hidden))
    if init == "auto":
        rule = RULES[rule_for(activation)] if len(layers) >= DEEP else None
    else:
        rule, layers = RULES[init], [*layers, *weighted(head)]
    if rule is None:
        return
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(rule(layer.weight.shape))
            if layer.bias is not None:
                layer.bias.zero_()


def weighted(module: nn.Module) -> Iterator[nn.Linear | nn.Conv1d | nn.Conv2d]:
    return (layer for layer in module.modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d))
