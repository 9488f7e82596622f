"""How many places convolutions and poolings leave of an input, and at which of them there are none."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from thetastar.errors import UserError
from thetastar.functional.convolution import output_size
from thetastar.protocols import Field

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
POOLINGS = (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d)


def remaining(layers: Iterable[nn.Module], field: Field, model: str, do: str) -> tuple[int, ...]:
    """Places along each axis after the last of the layers, whose kernels are as wide as high.

    Args:
        layers: in order; what is neither a convolution nor a pooling leaves places as they are.
        field: of images, or of vectors as signals.
        model: its name, for the error.
        do: what helps where an input is too small.

    Raises:
        UserError: the layer that has nothing left, and the smallest input of which something is left.
    """
    swept = [layer for layer in layers if isinstance(layer, CONVOLUTIONS + POOLINGS)]
    sides = _axes(field)
    for index, layer in enumerate(swept):
        after = tuple(_after(layer, side) for side in sides)
        if min(after) < 1:
            pools = isinstance(layer, POOLINGS)
            alike = [isinstance(other, POOLINGS) == pools for other in swept]
            kind = "pooling" if pools else "convolution"
            place = f"{kind} {sum(alike[: index + 1])} of {sum(alike)} gets {_written(sides)} and leaves nothing"
            least = next(n for n in itertools.count(1) if _fits(swept, n))
            raise UserError(
                f"{model} on {field.kind}s of {_written(_axes(field))}: {place}",
                f"{field.kind}s of at least {_written([least] * len(sides))}",
                do,
            )
        sides = after
    return sides


def _axes(field: Field) -> tuple[int, ...]:
    return field.shape[1:] if field.kind == "image" else field.shape


def _after(layer: Any, size: int) -> int:
    kernel, stride, padding, dilation = (
        value if isinstance(value, int) else value[0]
        for value in (layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1))
    )
    return output_size(size, kernel, stride, padding, dilation, ceil=getattr(layer, "ceil_mode", False))


def _fits(layers: Iterable[nn.Module], size: int) -> bool:
    for layer in layers:
        size = _after(layer, size)
        if size < 1:
            return False
    return True


def _written(sides: Sequence[int]) -> str:
    return "×".join(map(str, sides))
