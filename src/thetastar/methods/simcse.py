"""SimCSE: a text is told from the others of a batch by what dropout leaves of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.collapse import spread
from thetastar.functional.losses import full
from thetastar.functional.nested import rows_of
from thetastar.layers.dropout import Dropout
from thetastar.layers.projection import features_of
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema
from thetastar.registry import Positive

__all__ = ["simcse"]


class simcse(Pretext):
    """L = −1/N Σ_i log (e^{cos(h_i, h'_i)/τ} / Σ_j e^{cos(h_i, h'_j)/τ}), h, h' one text under two masks of dropout.

    h = tanh(W f(x) + b), which is left out afterwards. Dropout is the only change of a text: without it both are equal
    and nothing is asked. The trace shows the "spread" of h.

    Args:
        temperature: τ > 0.

    Shapes: any input (batch, …) → features (batch, width).

    Source: Gao, Yao and Chen 2021, SimCSE: simple contrastive learning of sentence embeddings.
    """

    kinds = frozenset({"tokens", "vector", "words"})
    couples = True

    def __init__(self, *, temperature: Positive = 0.05) -> None:
        super().__init__()
        self.temperature = temperature

    @classmethod
    def example(cls) -> Mapping[str, Any]:
        model = {"name": "text_transformer", "width": 16, "depth": 1, "heads": 2}
        return {"data": "phrases", "model": model, "method": "simcse"}

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        drops = [layer for layer in f.modules() if isinstance(layer, Dropout)]
        if not any(layer.p for layer in drops):
            got = f"simcse with {type(f).__name__} without dropout, the only change that it makes"
            raise UserError(got, "dropout above 0", "set model.dropout=0.1")
        width = features_of(f, schema, "simcse")
        self.projector = nn.Sequential(nn.Linear(width, width), nn.Tanh())

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        if rows_of(batch) < 2:
            got = "simcse on a batch of one: the other texts are the negatives"
            raise UserError(got, "at least two a batch", "raise data.batch_size")
        first, second = (self.projector(f.features(batch["input"])) for _ in range(2))
        value = told_from_others(first, second, self.temperature).mean()
        return value, Aux(log={"spread": spread(first.detach())})


def told_from_others(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """−log softmax over j of cos(h_i, h'_j)/τ at j = i: (batch, width)² → (batch,)."""
    with torch.autocast(first.device.type, enabled=False):
        scores = F.normalize(full(first), dim=-1) @ F.normalize(full(second), dim=-1).T / temperature
        return F.cross_entropy(scores, torch.arange(len(scores), device=scores.device), reduction="none")
