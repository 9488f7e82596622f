"""What stands between an encoder and a loss on its features."""

from __future__ import annotations

from torch import nn

from thetastar.errors import UserError
from thetastar.protocols import Model, Schema


def features_of(f: Model, schema: Schema, method: str) -> int:
    """The width of an encoder's features, for methods that compare one vector an example with another."""
    if schema.target is not None and schema.target.kind == "mask":
        raise UserError(f"{method} on images with masks", "one vector of features an image", "choose supervised")
    return f.width


def projector(width: int, hidden: int, outputs: int, *, norm: bool) -> nn.Sequential:
    """Linear → (batch norm) → ReLU → linear: (batch, width) → (batch, outputs)."""
    between = [nn.BatchNorm1d(hidden)] if norm else []
    return nn.Sequential(nn.Linear(width, hidden, bias=not norm), *between, nn.ReLU(), nn.Linear(hidden, outputs))
