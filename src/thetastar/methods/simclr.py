"""SimCLR: tell the other view of an example from all other views of the batch."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.collapse import spread
from thetastar.functional.contrast import nt_xent
from thetastar.layers.projection import projector
from thetastar.methods.representation import Representation, both
from thetastar.protocols import Aux, Batch, Clock, Model
from thetastar.registry import Count, NonNegative, Positive

__all__ = ["simclr"]


class simclr(Representation):
    """L = −1/2N Σ_i log (e^{z_i·z_p(i)/τ} / Σ_{k≠i} e^{z_i·z_k/τ}) over the 2N views of a batch (NT-Xent).

    z = g(f(x)) / ‖g(f(x))‖, p(i) is the other view of the same example. All other views of the batch are negatives: the
    larger it is the better; they keep z from collapsing. The trace shows the "spread" of z.

    Args:
        temperature: τ > 0; the paper's best is 0.5 on CIFAR-10, 0.1 with large batches on ImageNet.
        hard_negatives: β ≥ 0; each negative weighs e^{β z_i·z_k/τ} / (its mean), so that those that are nearly taken
            for the example count most. 0 is the paper's loss.
        hidden: units inside g, which has one hidden layer; in the paper the width of f.
        outputs: entries of z.

    Shapes: views (batch, …) under "input" and "view" → features (batch, width).

    Source: Chen, Kornblith, Norouzi and Hinton 2020, A simple framework for contrastive learning of visual
    representations; Robinson, Chuang, Sra and Jegelka 2021, Contrastive learning with hard negative samples.
    """

    least = 2
    why = "the other examples are the negatives"

    def __init__(
        self,
        *,
        temperature: Positive = 0.5,
        hard_negatives: NonNegative = 0.0,
        hidden: Count = 512,
        outputs: Count = 128,
    ) -> None:
        super().__init__()
        self.temperature, self.hard_negatives = temperature, hard_negatives
        self.hidden, self.outputs = hidden, outputs

    def build(self, f: Model, width: int) -> None:
        self.projector = projector(width, self.hidden, self.outputs, norm=False)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        first, second = both(lambda x: self.projector(f.features(x)), *self.views(batch))
        value = nt_xent(first, second, self.temperature, self.hard_negatives).mean()
        return value, Aux(log={"spread": spread(first.detach())})
