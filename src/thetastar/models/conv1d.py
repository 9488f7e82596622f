"""A small convolutional net for signals."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.layers.activation import Activation, phi
from thetastar.layers.ends import Standardise, head, only_input
from thetastar.layers.initialising import Init, initialise
from thetastar.layers.remaining import remaining
from thetastar.protocols import Model, Schema
from thetastar.registry import Count

__all__ = ["conv1d"]


class conv1d(Model):
    """For signals: (convolution of length 3 with stride 2 → φ) three times along a vector, then a linear layer.

    2,050 parameters on 40 entries in ten classes, where an mlp with as many hidden units, `widths=[285, 135, 60]`, has
    59,065: neighbouring entries belong together, and a pattern means the same wherever it is.

    Args:
        schema: vectors whose entries are in order, as points in time are.
        channels: of each convolution.
        kernel: entries that each convolution sees.
        stride: entries from place to place.
        activation: φ.
        init: how weights are drawn; "auto" goes by activation and depth.

    Shapes: (batch, entries) → (batch, outputs).

    Source: Prince 2023, Understanding deep learning; Greydanus 2020, Scaling down deep learning (the signals).
    """

    def __init__(
        self,
        schema: Schema,
        *,
        channels: tuple[Count, ...] = (15, 15, 15),
        kernel: Count = 3,
        stride: Count = 2,
        activation: Activation = "relu",
        init: Init = "auto",
    ) -> None:
        super().__init__()
        field = only_input(schema, "conv1d")
        if field.kind != "vector":
            do = "choose cnn" if field.kind == "image" else "choose mlp"
            raise UserError(f"conv1d on {field.kind} inputs", "vectors whose entries are in order", do)
        self.standardise = Standardise(field)
        layers: list[nn.Module] = []
        before = 1
        for after in channels:
            layers += [nn.Conv1d(before, after, kernel, stride), phi(activation)]
            before = after
        (places,) = remaining(layers, field, "conv1d", "choose mlp, or set model.channels to fewer convolutions")
        self.convolutions = nn.Sequential(*layers)
        self.width = before * places
        self.head = head(self.width, schema)
        initialise(self.convolutions, self.head, init, activation)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": {"name": "mnist1d", "rows": 200}, "model": {"name": "conv1d", "channels": [4, 4]}}

    def features(self, x: Tensor) -> Tensor:
        return self.convolutions(self.standardise(x).unsqueeze(1)).flatten(1)  # (batch, 1, entries) comes in
