"""What all linear models share: one affine map of the standardised, flattened input."""

from __future__ import annotations

from torch import Tensor

from thetastar.errors import UserError
from thetastar.layers.ends import Standardise, flat_size, head, known_target, only_input
from thetastar.protocols import Model, Schema

__all__: list[str] = []


class Affine(Model):
    """f(x) = W (x − μ) / σ + b; what differs between linear models is how W is found.

    Args:
        schema: any input of one tensor.
        numbers: whether the target is to be numbers; else classes or labels.
    """

    def __init__(self, schema: Schema, numbers: bool) -> None:
        super().__init__()
        name = type(self).__name__
        field, target = only_input(schema, name), known_target(schema, name)
        if (target.kind == "number") != numbers:
            expected, do = ("numbers", "choose softmax") if numbers else ("classes or labels", "choose linear")
            raise UserError(f"{name} on a {schema.task} task", f"{expected} as the target", do)
        self.standardise = Standardise(field)
        self.width = flat_size(field)
        self.head = head(self.width, schema)

    def features(self, x: Tensor) -> Tensor:
        return self.standardise(x).flatten(1)
