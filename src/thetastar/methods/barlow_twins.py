"""Barlow Twins: each entry the same in both views, and no two entries the same."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.collapse import spread
from thetastar.functional.redundancy import barlow
from thetastar.layers.projection import projector
from thetastar.methods.representation import Representation
from thetastar.protocols import Aux, Batch, Clock, Model
from thetastar.registry import Count, NonNegative

__all__ = ["barlow_twins"]


class barlow_twins(Representation):
    """L = Σ_i (1 − C_ii)² + λ Σ_{i≠j} C²_ij, C_ij the correlation of z_i with z'_j over the batch, z = g(f(x)).

    The first term makes the entries of z the same in both views, the second makes different entries say different
    things: with λ = 0 all of them may say one. The trace shows the "spread" of z.

    Args:
        redundancy: λ ≥ 0; entries off the diagonal are many, so it is small.
        hidden: units inside g, which has two hidden layers with batch norm; 8192 in the paper.
        outputs: entries of z; 8192 in the paper, where more are better.

    Shapes: views (batch, …) under "input" and "view" → features (batch, width).

    Source: Zbontar, Jing, Misra, LeCun and Deny 2021, Barlow Twins: self-supervised learning via redundancy reduction.
    """

    def __init__(self, *, redundancy: NonNegative = 5e-3, hidden: Count = 512, outputs: Count = 512) -> None:
        super().__init__()
        self.redundancy, self.hidden, self.outputs = redundancy, hidden, outputs

    def build(self, f: Model, width: int) -> None:
        self.projector = projector(width, self.hidden, self.outputs, norm=True, layers=3)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        first, second = (self.projector(f.features(x)) for x in self.views(batch))
        return barlow(first, second, self.redundancy), Aux(log={"spread": spread(first.detach())})
