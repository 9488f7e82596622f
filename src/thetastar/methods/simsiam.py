"""SimSiam: predict the other view with the same net, its side of the gradient stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from thetastar.functional.collapse import spread
from thetastar.functional.contrast import cosine_distance
from thetastar.layers.projection import projector
from thetastar.methods.representation import Representation
from thetastar.protocols import Aux, Batch, Clock, Model
from thetastar.registry import Count

__all__ = ["simsiam"]


class simsiam(Representation):
    """L = −½ cos(q(z₁), sg(z₂)) − ½ cos(q(z₂), sg(z₁)), z = g(f(x)) of each view; sg has no gradient.

    There is neither a second net nor a negative; without the stopped gradient all z become one, which has the least
    loss. Batch norm stands behind every linear layer of g, the last one included, and inside q, not behind it. The
    trace shows the "spread" of z, 0 at collapse.

    Args:
        hidden: units inside g and entries of z; 2048 in the paper.
        layers: linear layers of g; 3 in the paper, 2 on CIFAR-10.
        bottleneck: units inside q, a quarter of `hidden` in the paper.

    Shapes: views (batch, …) under "input" and "view" → features (batch, width).

    Source: Chen and He 2021, Exploring simple siamese representation learning.
    """

    tiny: ClassVar[Mapping[str, Any]] = {"hidden": 32, "bottleneck": 8}

    def __init__(self, *, hidden: Count = 512, layers: Count = 3, bottleneck: Count = 128) -> None:
        super().__init__()
        self.hidden, self.layers, self.bottleneck = hidden, layers, bottleneck

    def build(self, f: Model, width: int) -> None:
        self.projector = projector(width, self.hidden, self.hidden, norm=True, layers=self.layers, norm_last=True)
        self.predictor = projector(self.hidden, self.bottleneck, self.hidden, norm=True)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        first, second = (self.projector(f.features(x)) for x in self.views(batch))
        distance = cosine_distance(self.predictor(first), second.detach())
        distance = distance + cosine_distance(self.predictor(second), first.detach())
        return distance.mean() / 4 - 1, Aux(log={"spread": spread(first.detach())})  # 2 − 2 cos is what each one is
