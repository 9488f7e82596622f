"""What methods share that learn features by comparing two views of every example."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.contrast import two_views
from thetastar.functional.nested import rows_of
from thetastar.layers.projection import features_of
from thetastar.protocols import Batch, Clock, Model, Objective, Schema

__all__: list[str] = []


class Representation(Objective):
    """A method that hands out features: f's head rests, what stands between features and loss belongs to the method.

    Attributes:
        least: examples that a batch must have.
        why: they are needed.
        tiny: arguments of the example.
    """

    reads = ("input", "view")
    couples = True
    companions: ClassVar[Mapping[str, Any]] = {
        "data": {"name": "views"},
        "measures": ("knn_accuracy", "effective_rank", "spread"),
    }
    least: int = 4
    why: str = "moments over so few examples say next to nothing"
    tiny: ClassVar[Mapping[str, Any]] = {"hidden": 32, "outputs": 16}

    @classmethod
    def example(cls) -> dict[str, Any]:
        data = {"name": "views", "source": "bars"}
        return {"data": data, "model": {"name": "mlp", "widths": [16]}, "method": {"name": cls.__name__, **cls.tiny}}

    def attach(self, f: Model, schema: Schema) -> None:
        f.head.requires_grad_(False)  # what is learnt are features
        self.build(f, features_of(f, schema, type(self).__name__))

    @abstractmethod
    def build(self, f: Model, width: int) -> None:
        """The networks and buffers behind features of this width."""

    def views(self, batch: Batch) -> tuple[Any, Any]:
        """Both views of a batch that has enough examples."""
        name, rows = type(self).__name__, rows_of(batch)
        if rows < self.least:
            got = f"{name} on batches of {rows}: {self.why}"
            raise UserError(got, f"at least {self.least} examples a batch", "raise data.batch_size")
        return two_views(batch, name)

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        return {"features": f.features(batch["input"])} if "features" in wants else {}


def both(call: Any, first: Any, second: Any) -> tuple[Tensor, Tensor]:
    """`call` of two views in one pass: batch norm sees them as one batch of twice the size."""
    if isinstance(first, Tensor):
        together = torch.cat([first, second])
    else:
        together = {name: torch.cat([part, second[name]]) for name, part in first.items()}
    one, other = call(together).chunk(2)
    return one, other
