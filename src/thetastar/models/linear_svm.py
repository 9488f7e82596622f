"""The linear support vector machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from thetastar.models.affine import Affine
from thetastar.protocols import Schema

__all__ = ["linear_svm"]


class linear_svm(Affine):
    """Linear support vector machine: min (1/n) Σ max(0, 1 − min_{j≠y} (z_y − z_j)) + (λ/2) ‖W‖², λ the decay of sgd.

    Args:
        schema: any input of one tensor, classes or labels as the target.

    Shapes: (batch, …) → (batch, classes) scores. They are no log-probabilities: read nll and ece with care.

    Source: Cortes and Vapnik 1995, Support-vector networks; Crammer and Singer 2001, On the algorithmic implementation
    of multiclass kernel-based vector machines.
    """

    companions: ClassVar[Mapping[str, Any]] = {
        "method": {"name": "supervised", "loss": "hinge"},
        "algorithm": {"name": "sgd", "lr": 0.02, "momentum": 0.9, "weight_decay": 1e-3},
    }

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema, numbers=False)
