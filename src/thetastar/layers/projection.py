"""What stands between an encoder and a loss on its features."""

from __future__ import annotations

from torch import nn
from torch.nn import Parameter

from thetastar.protocols import Method, Model, trainable


def projector(width: int, hidden: int, outputs: int, *, norm: bool) -> nn.Sequential:
    """Linear → (batch norm) → ReLU → linear: (batch, width) → (batch, outputs)."""
    between = [nn.BatchNorm1d(hidden)] if norm else []
    return nn.Sequential(nn.Linear(width, hidden, bias=not norm), *between, nn.ReLU(), nn.Linear(hidden, outputs))


def encoder_parameters(f: Model, method: Method) -> dict[str, Parameter]:
    """All that is trained through `f.features`: the head of f is left out."""
    return {name: p for name, p in trainable(f=f, method=method).items() if not name.startswith("f.head.")}
