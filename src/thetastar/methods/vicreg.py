"""VICReg: views alike, entries that vary, and none that repeats another."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.collapse import spread
from thetastar.functional.losses import full
from thetastar.functional.redundancy import covaried, too_narrow
from thetastar.layers.projection import projector
from thetastar.methods.representation import Representation
from thetastar.protocols import Aux, Batch, Clock, Model
from thetastar.registry import Count, NonNegative

__all__ = ["vicreg"]


class vicreg(Representation):
    """L = λ s(z, z') + μ (v(z) + v(z')) + ν (c(z) + c(z')), z = g(f(x)) of each view.

    s = mean over examples and entries of (z − z')², v = 1/d Σ_j max(0, 1 − √(Var z_j + 1e-4)) keeps each of the d
    entries from collapsing, c = 1/d Σ_{i≠j} Cov(z)²_ij keeps entries from repeating one another; moments are over the
    batch. As in the authors' program, s is divided by d, which their formula leaves out. The trace shows s, v and c as
    "invariance", "variance" and "covariance", and the "spread" of z.

    Args:
        invariance: λ ≥ 0.
        variance: μ ≥ 0; with 0 all z become one.
        covariance: ν ≥ 0.
        hidden: units inside g, which has two hidden layers with batch norm; 8192 in the paper.
        outputs: entries of z, d; 8192 in the paper.

    Shapes: views (batch, …) under "input" and "view" → features (batch, width).

    Source: Bardes, Ponce and LeCun 2022, VICReg: variance-invariance-covariance regularization for self-supervised
    learning.
    """

    def __init__(
        self,
        *,
        invariance: NonNegative = 25.0,
        variance: NonNegative = 25.0,
        covariance: NonNegative = 1.0,
        hidden: Count = 512,
        outputs: Count = 512,
    ) -> None:
        super().__init__()
        self.invariance, self.variance, self.covariance = invariance, variance, covariance
        self.hidden, self.outputs = hidden, outputs

    def build(self, f: Model, width: int) -> None:
        self.projector = projector(width, self.hidden, self.outputs, norm=True, layers=3)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        z = [full(self.projector(f.features(x))) for x in self.views(batch)]
        alike = (z[0] - z[1]).square().mean()
        narrow = too_narrow(z[0]) + too_narrow(z[1])
        repeated = covaried(z[0]) + covaried(z[1])
        value = self.invariance * alike + self.variance * narrow + self.covariance * repeated
        terms = {"invariance": alike, "variance": narrow / 2, "covariance": repeated / 2}
        log = {name: term.detach() for name, term in terms.items()}
        return value, Aux(log={**log, "spread": spread(z[0].detach())})
