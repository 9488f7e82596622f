"""The small convolutional net of the lecture tables."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.layers.activation import Activation, phi
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import Standardise, head, only_input
from thetastar.layers.initialising import Init, initialise
from thetastar.layers.normalising import LocalResponse, Norm, normaliser
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["cnn"]


class cnn(Model):
    """LeNet-style net: (conv 3×3 → φ → max-pool 2) twice, then a hidden layer.

    421,642 parameters on grey 28×28 images in ten classes.

    Args:
        schema: images of at least 4×4.
        channels: of the two convolutions.
        hidden: units of the dense layer.
        activation: φ.
        norm: normalisation before the activation, over the batch, over each image, or over groups of its channels;
            "local_response" comes after the activation of the convolutions.
        groups: of "group", a divisor of all channels and of the hidden units.
        dropout: share of hidden units dropped in training, in [0, 1).
        init: how weights are drawn; "auto" goes by activation and depth.

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        channels: tuple[Count, Count] = (32, 64),
        hidden: Count = 128,
        activation: Activation = "relu",
        norm: Norm | Literal["local_response"] | None = None,
        groups: Count = 8,
        dropout: BelowOne = 0.0,
        init: Init = "auto",
    ) -> None:
        super().__init__()
        field = only_input(schema, "cnn")
        if field.kind != "image":
            raise UserError(f"cnn on {field.kind} inputs", "images", "choose mlp")
        depth, height, width = field.shape
        if min(height, width) < 4:
            raise UserError(f"cnn on {height}×{width} images: two poolings leave nothing", "at least 4×4", "choose mlp")
        first, second = channels
        self.standardise = Standardise(field)

        def activated(units: int, *, image: bool) -> list[nn.Module]:
            if norm == "local_response":
                return [phi(activation), *([LocalResponse()] if image else [])]
            return [*([normaliser(norm, units, groups, image=image)] if norm else []), phi(activation)]

        self.convolutions = nn.Sequential(
            nn.Conv2d(depth, first, 3, padding=1),
            *activated(first, image=True),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1),
            *activated(second, image=True),
            nn.MaxPool2d(2),
        )
        self.dense = nn.Sequential(
            nn.Linear(second * (height // 4) * (width // 4), hidden),
            *activated(hidden, image=False),
            *([Dropout(dropout)] if dropout else []),
        )
        self.width = hidden
        self.head = head(hidden, schema)
        initialise(nn.ModuleList([self.convolutions, self.dense]), self.head, init, activation)

    def features(self, x: Tensor) -> Tensor:
        return self.dense(self.convolutions(self.standardise(x)).flatten(1))
