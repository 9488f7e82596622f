"""Bootstrap your own latent: predict a slow copy of oneself, without negatives."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from thetastar.functional.collapse import spread
from thetastar.functional.contrast import cosine_distance
from thetastar.layers.frozen import Frozen
from thetastar.layers.projection import projector
from thetastar.methods.representation import Representation
from thetastar.protocols import Aux, Batch, Clock, Model
from thetastar.registry import BelowOne, Count

__all__ = ["byol"]


class byol(Representation):
    """L = 2 − 2 cos(q(z₁), z'₂) + 2 − 2 cos(q(z₂), z'₁), z = g(f(x)) of one view, z' = g'(f'(x)) of the other.

    f', g' are moving averages of f and the projector g without gradients: θ' ← m θ' + (1 − m) θ after every step,
    m rising from `momentum` to 1 as a half cosine. The predictor q and the stopped gradient keep z from collapsing; the
    trace shows its "spread", 0 at collapse.

    Args:
        momentum: m at the start, in [0, 1); 0.996 in the paper, 0.99 in its shorter runs.
        hidden: units inside g and q, which have one hidden layer with batch norm; 4096 in the paper.
        outputs: entries of z; 256 in the paper.

    Shapes: views (batch, …) under "input" and "view" → features (batch, width).

    Source: Grill et al. 2020, Bootstrap your own latent: a new approach to self-supervised learning.
    """

    def __init__(self, *, momentum: BelowOne = 0.99, hidden: Count = 512, outputs: Count = 128) -> None:
        super().__init__()
        self.momentum, self.hidden, self.outputs = momentum, hidden, outputs

    def build(self, f: Model, width: int) -> None:
        self.projector = projector(width, self.hidden, self.outputs, norm=True)
        self.predictor = projector(self.outputs, self.hidden, self.outputs, norm=True)
        self.target = Frozen(f, batch_statistics=True)
        self.target_projector = Frozen(self.projector, batch_statistics=True)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        first, second = self.views(batch)
        online = [self.projector(f.features(x)) for x in (first, second)]
        target = [self.target_projector(self.target.features(x)) for x in (second, first)]
        distances = [cosine_distance(self.predictor(z), other) for z, other in zip(online, target, strict=True)]
        return (distances[0] + distances[1]).mean(), Aux(log={"spread": spread(target[0])})

    def observe(self, f: Model, aux: Mapping[str, Aux], t: Clock) -> None:
        momentum = 1 - (1 - self.momentum) * (1 + math.cos(math.pi * t.progress)) / 2
        self.target.follow(f, momentum)
        self.target_projector.follow(self.projector, momentum)
