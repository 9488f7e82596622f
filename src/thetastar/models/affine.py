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
        kinds: of target that make sense.
        otherwise: what to do with other targets.
    """

    def __init__(self, schema: Schema, kinds: frozenset[str], otherwise: str) -> None:
        super().__init__()
        name = type(self).__name__
        field, target = only_input(schema, name), known_target(schema, name)
        if target.kind not in kinds:
            raise UserError(
                f"{name} on a {schema.task} task", f"a target of kind {' or '.join(sorted(kinds))}", otherwise
            )
        self.standardise = Standardise(field)
        self.width = flat_size(field)
        self.head = head(self.width, schema)

    def features(self, x: Tensor) -> Tensor:
        return self.standardise(x).flatten(1)
