"""Decision trees as a module whose buffers are the trees."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.trees import TABLES, descend


class Trees(nn.Module):
    """x ↦ the value of the leaf that x reaches in each tree; plain tensors, so they are saved and moved as weights are.

    Shapes: (batch, features) → (batch, trees, outputs) in float64.
    """

    roots: Tensor
    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in TABLES:
            self.register_buffer(name, None)

    def plant(self, tables: Mapping[str, Tensor], like: Tensor) -> None:
        """Take in exported trees, on the device of `like`."""
        for name in TABLES:
            setattr(self, name, tables[name].to(like.device))

    def forward(self, x: Tensor) -> Tensor:
        if self.roots is None:
            raise UserError("there are no trees yet", "a trained model", "train it with method absorb")
        return self.value[descend(x.flatten(1), {name: getattr(self, name) for name in TABLES})]
