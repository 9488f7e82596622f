"""Rosenblatt's perceptron."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from thetastar.models.affine import Affine
from thetastar.protocols import Schema

__all__ = ["perceptron"]


class perceptron(Affine):
    """Perceptron: on a mistake w_y ← w_y + η x and w_ŷ ← w_ŷ − η x; a tie is a mistake.

    The rule is gradient descent on max(0, max_{j≠y} z_j − z_y). On two separable classes, from w = 0, it stops after at
    most (R/γ)² mistakes (R the largest norm of an input, γ the margin); on others, such as exclusive or, it never does.

    Args:
        schema: any input of one tensor, classes or labels as the target.

    Shapes: (batch, …) → (batch, classes) scores.

    Source: Rosenblatt 1958, The perceptron; Novikoff 1962, On convergence proofs on perceptrons.
    """

    companions: ClassVar[Mapping[str, Any]] = {
        "method": {"name": "supervised", "loss": "perceptron"},
        "algorithm": {"name": "sgd", "lr": 1.0, "momentum": 0.0, "schedule": None},
    }

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema, numbers=False)
