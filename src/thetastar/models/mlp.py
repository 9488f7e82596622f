"""The multilayer perceptron."""

from __future__ import annotations

from torch import Tensor, nn

from thetastar.layers.activation import Activation, phi
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import Standardise, head, only_input
from thetastar.layers.initialising import Init, initialise
from thetastar.layers.normalising import Norm, normaliser
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["mlp"]


class mlp(Model):
    """Multilayer perceptron: h_l = φ(W_l h_{l−1} + b_l), output W_L h + b_L.

    Args:
        schema: any input of one tensor (images are flattened) and any target.
        widths: hidden units of each layer, each ≥ 1; () is a linear model.
        activation: φ.
        norm: normalisation before the activation, over the batch, over the units, or over groups of units.
        groups: of "group", a divisor of every width.
        dropout: share of hidden units dropped in training, in [0, 1).
        init: how weights are drawn; "auto" goes by activation and depth.

    Shapes: (batch, …) → (batch, outputs).

    Source: Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        widths: tuple[Count, ...] = (512, 256),
        activation: Activation = "relu",
        norm: Norm | None = None,
        groups: Count = 8,
        dropout: BelowOne = 0.0,
        init: Init = "auto",
    ) -> None:
        super().__init__()
        field = only_input(schema, "mlp")
        size = 1
        for length in field.shape:
            size *= length
        self.standardise = Standardise(field)
        layers: list[nn.Module] = []
        for width in widths:
            layers.append(nn.Linear(size, width))
            if norm:
                layers.append(normaliser(norm, width, groups))
            layers.append(phi(activation))
            if dropout:
                layers.append(Dropout(dropout))
            size = width
        self.hidden = nn.Sequential(*layers)
        self.width = size
        self.head = head(size, schema)
        initialise(self.hidden, self.head, init, activation)

    def features(self, x: Tensor) -> Tensor:
        return self.hidden(self.standardise(x).flatten(1))
