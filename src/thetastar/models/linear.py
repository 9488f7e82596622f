"""Linear regression and its companion for classes, softmax regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from thetastar.models.affine import Affine
from thetastar.protocols import Schema
from thetastar.registry import Positive

__all__ = ["linear", "softmax"]


class linear(Affine):
    """Linear regression: ŷ = W x + b, solved in closed form unless a method that steps is named.

    Args:
        schema: any input of one tensor, numbers as the target.

    Shapes: (batch, …) → (batch,) or (batch, outputs).

    Source: Gauss 1809, Theoria motus corporum coelestium.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "least_squares", "algorithm": {"name": "adamw", "lr": 0.01}}

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema, numbers=True)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "plane", "model": cls.__name__, "method": "supervised"}


class softmax(Affine):
    """Softmax (logistic) regression: p(c | x) = exp(z_c / τ) / Σ_j exp(z_j / τ), z = W x + b; σ(z / τ) for labels.

    Args:
        schema: any input of one tensor, classes or labels as the target.
        temperature: τ > 0; small ones sharpen.

    Shapes: (batch, …) → (batch, classes) logits z / τ.

    Source: Cox 1958, The regression analysis of binary sequences; Bridle 1990, Training stochastic model recognition
    algorithms as networks can lead to maximum mutual information estimation of parameters.
    """

    companions: ClassVar[Mapping[str, Any]] = {"algorithm": {"name": "adamw", "lr": 0.01}}

    def __init__(self, schema: Schema, *, temperature: Positive = 1.0) -> None:
        super().__init__(schema, numbers=False)
        self.temperature = temperature

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)) / self.temperature
