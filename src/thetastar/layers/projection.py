"""What stands between an encoder and a loss on its features."""

from __future__ import annotations

from torch import nn

from thetastar.errors import UserError
from thetastar.protocols import Model, Schema


def features_of(f: Model, schema: Schema, method: str) -> int:
    """The width of an encoder's features, for methods that compare one vector an example with another."""
    if schema.target is not None and schema.target.kind == "mask":
        raise UserError(f"{method} on images with masks", "one vector of features an image", "choose supervised")
    if schema.target is not None and schema.target.kind == "action":
        raise UserError(f"{method} on an environment", "examples of which two views can be had", "choose dqn")
    return f.width


def projector(
    width: int, hidden: int, outputs: int, *, norm: bool, layers: int = 2, norm_last: bool = False
) -> nn.Sequential:
    """Linear → (batch norm) → ReLU, `layers` − 1 times, → linear → (batch norm): (batch, width) → (batch, outputs)."""
    parts: list[nn.Module] = []
    for _ in range(layers - 1):
        parts += [nn.Linear(width, hidden, bias=not norm), *([nn.BatchNorm1d(hidden)] if norm else []), nn.ReLU()]
        width = hidden
    parts.append(nn.Linear(width, outputs, bias=not norm_last))
    return nn.Sequential(*parts, *([nn.BatchNorm1d(outputs)] if norm_last else []))
