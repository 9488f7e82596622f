"""What methods share that learn features from a question which the image itself answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from thetastar.layers.ends import only_input
from thetastar.protocols import Batch, Clock, Field, Model, Objective, Schema

__all__: list[str] = []


class Pretext(Objective):
    """A method that hands out features, learnt without targets; what answers the question belongs to the method."""

    reads = ("input",)
    kinds = frozenset({"image"})
    companions: ClassVar[Mapping[str, Any]] = {"measures": ("knn_accuracy", "effective_rank", "spread")}

    def attach(self, f: Model, schema: Schema) -> None:
        f.head.requires_grad_(False)  # what is learnt are features
        self.build(f, only_input(schema, type(self).__name__), schema)

    @abstractmethod
    def build(self, f: Model, field: Field, schema: Schema) -> None:
        """What stands behind f; refuses inputs that the question cannot be asked of."""

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        out = self.pictures(f, batch["input"]) if "pictures" in wants else {}
        if "features" in wants:
            out["features"] = f.features(batch["input"])
        return out

    def pictures(self, f: Model, x: Tensor) -> dict[str, Tensor]:
        """What reports show beside one another, the originals first, each (batch, channels, height, width)."""
        return {}
