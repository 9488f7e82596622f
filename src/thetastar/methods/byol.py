"""Bootstrap your own latent: predict a slow copy of oneself, without negatives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from thetastar.functional.collapse import spread
from thetastar.functional.contrast import cosine_distance, two_views
from thetastar.layers.frozen import Frozen
from thetastar.layers.projection import features_of, projector
from thetastar.protocols import Aux, Batch, Clock, Model, Objective, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["byol"]


class byol(Objective):
    """L = 2 − 2 cos(q(z₁), z'₂) + 2 − 2 cos(q(z₂), z'₁), z = g(f(x)) of one view, z' = g'(f'(x)) of the other.

    f', g' are moving averages of f and the projector g without gradients: θ' ← m θ' + (1 − m) θ after every step,
    m rising from `momentum` to 1 as a half cosine. The predictor q and the stopped gradient keep z from collapsing; the
    trace shows its "spread", 0 at collapse.

    Args:
        momentum: m at the start, in [0, 1).
        hidden: units inside g and q.
        outputs: entries of z.

    Shapes: views (batch, …) under "input" and "view" → features (batch, width).

    Source: Grill et al. 2020, Bootstrap your own latent: a new approach to self-supervised learning.
    """

    reads = ("input", "view")
    couples = True  # batch norm in g and q
    companions: Mapping[str, Any] = {"data": {"name": "views"}, "measures": ("effective_rank",)}

    def __init__(self, *, momentum: BelowOne = 0.99, hidden: Count = 512, outputs: Count = 128) -> None:
        super().__init__()
        self.momentum, self.hidden, self.outputs = momentum, hidden, outputs

    @classmethod
    def example(cls) -> dict[str, Any]:
        method = {"name": "byol", "hidden": 32, "outputs": 16}
        data = {"name": "views", "source": "bars"}
        return {
            "data": data,
            "model": {"name": "mlp", "widths": [16]},
            "method": method,
            "measures": ["effective_rank"],
        }

    def attach(self, f: Model, schema: Schema) -> None:
        f.head.requires_grad_(False)  # what is learnt are features
        self.projector = projector(features_of(f, schema, "byol"), self.hidden, self.outputs, norm=True)
        self.predictor = projector(self.outputs, self.hidden, self.outputs, norm=True)
        self.target = Frozen(f, batch_statistics=True)
        self.target_projector = Frozen(self.projector, batch_statistics=True)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        first, second = two_views(batch, "byol")
        online = [self.projector(f.features(x)) for x in (first, second)]
        target = [self.target_projector(self.target.features(x)) for x in (second, first)]
        distances = [cosine_distance(self.predictor(z), other) for z, other in zip(online, target, strict=True)]
        return (distances[0] + distances[1]).mean(), Aux(log={"spread": spread(target[0])})

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        momentum = 1 - (1 - self.momentum) * (1 + math.cos(math.pi * t.progress)) / 2
        self.target.follow(f, momentum)
        self.target_projector.follow(self.projector, momentum)

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        return {"features": f.features(batch["input"])} if "features" in wants else {}
