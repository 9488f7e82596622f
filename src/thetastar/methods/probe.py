"""The linear probe: how well do features serve that were learnt before?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.wrapping import Wrapper
from thetastar.protocols import Aux, Batch, Clock, Method, Model, Schema

__all__ = ["probe"]


class probe(Wrapper):
    """R(θ) = mean ℓ(h(φ(x)), y): the head h alone learns, the features φ of f are fixed.

    φ gets no gradients, keeps its batch-norm moments and drops nothing: it is what `predict` sees. So with classes as
    targets this is softmax regression on φ(x); with {name: penalised, l2: λ} as `inner` it is penalised. Say by
    engine.weights what f begins with: without it the features are random.

    Args:
        inner: the method whose loss is taken.

    Source: Alain and Bengio 2016, Understanding intermediate layers using linear classifier probes.
    """

    companions: ClassVar[Mapping[str, Any]] = {"algorithm": {"name": "adamw", "lr": 0.01, "weight_decay": 0.0}}

    def __init__(self, *, inner: Method = "supervised") -> None:  # type: ignore[assignment]
        super().__init__(inner)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "bars", "model": {"name": "mlp", "widths": [256]}, "method": "probe"}

    def attach(self, f: Model, schema: Schema) -> None:
        if not any(True for _ in f.head.parameters()):
            got = f"probe of {type(f).__name__}, whose head has no weights"
            raise UserError(got, "a model with a head that learns", "choose another model")
        f.requires_grad_(False)
        f.head.requires_grad_(True)
        super().attach(f, schema)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        was = {module: module.training for module in f.modules()}
        f.eval()
        try:
            return self.inner.loss(f, batch, t)
        finally:
            for module, mode in was.items():
                module.training = mode
