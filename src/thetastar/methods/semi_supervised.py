"""What is alike in methods that learn classes from few labels and many examples without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from thetastar.functional.predictions import from_output
from thetastar.functional.unlabelled import classes_of
from thetastar.protocols import Batch, Clock, Model, Objective, Schema

__all__: list[str] = []


class SemiSupervised(Objective):
    """Classes, batches with an unlabelled part, and predictions by f itself.

    The unlabelled part may hold the labelled examples too, as it does in the papers: there they count once more, like
    any other and without their label.
    """

    reads = ("input", "target", "unlabelled")
    companions: Mapping[str, Any] = {"data": {"name": "few_labels"}}

    @classmethod
    def example(cls) -> dict[str, Any]:
        data = {"name": "few_labels", "source": "bars", "labels": 16}
        return {"data": data, "model": {"name": "mlp", "widths": [16]}, "method": cls.__name__}

    def attach(self, f: Model, schema: Schema) -> None:
        classes_of(schema, type(self).__name__)

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        return from_output(f, batch, wants, "category")
