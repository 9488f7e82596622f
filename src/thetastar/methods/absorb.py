"""Learning without steps: f takes in the training split as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.predictions import from_output
from thetastar.protocols import Batch, Clock, Method, Model, Move, Schema, Stream

__all__ = ["absorb"]


class absorb(Method):
    """θ* ← f.absorb(D): memories and trees are made from the whole training split at once, with no gradient.

    For models that offer `absorb(stream, t)`, such as knn, random_forest and gradient_boosting. Every labelled example
    is taken in once and as it is, without augmentation. There is nothing to select on valid, so data.valid=0 gives them
    all rows.
    """

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "bars", "model": "knn", "method": cls.__name__}

    def attach(self, f: Model, schema: Schema) -> None:
        if not hasattr(f, "absorb"):
            raise UserError(
                f"absorb with {type(f).__name__}, which learns by steps",
                "a model that absorbs data",
                "choose method supervised",
            )
        if schema.target is None:
            raise UserError("absorb without a target", "a target", "name one with --target")
        self.kind = schema.target.kind

    def moves(self, f: Model) -> Sequence[Move]:
        return []

    def consolidate(self, f: Model, stream: Stream, t: Clock) -> None:
        f.absorb(stream, t)  # type: ignore[operator]

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        return from_output(f, batch, wants, self.kind)
