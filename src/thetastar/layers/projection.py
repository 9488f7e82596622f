"""What stands between an encoder and a loss on its features."""

from __future__ import annotations

from torch import nn


def projector(width: int, hidden: int, outputs: int, *, norm: bool) -> nn.Sequential:
    """Linear → (batch norm) → ReLU → linear: (batch, width) → (batch, outputs)."""
    between = [nn.BatchNorm1d(hidden)] if norm else []
    return nn.Sequential(nn.Linear(width, hidden, bias=not norm), *between, nn.ReLU(), nn.Linear(hidden, outputs))
