"""Training on convex combinations of examples."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.mixing import beta_shares, blend, distributions, mixable
from thetastar.functional.nested import mapped
from thetastar.functional.wrapping import Wrapper
from thetastar.protocols import Aux, Batch, Clock, Method, Model, Schema
from thetastar.registry import NonNegative

__all__ = ["mixup"]


class mixup(Wrapper):
    """x̃ = λ xᵢ + (1 − λ) xⱼ,  ỹ = λ yᵢ + (1 − λ) yⱼ,  λ ~ Beta(α, α);  the inner loss of (x̃, ỹ).

    Each example is mixed with one other of its batch, by a λ of its own. Inputs and targets change together, which is
    what keeps the task the same; predictions are on plain examples.

    Args:
        inner: the method whose loss is formed on mixed examples.
        alpha: α ≥ 0; 0 is the inner method itself, 1 draws λ evenly.

    Source: Zhang, Cissé, Dauphin and Lopez-Paz 2018, mixup: beyond empirical risk minimization.
    """

    def __init__(self, *, inner: Method = "supervised", alpha: NonNegative = 0.2) -> None:  # type: ignore[assignment]
        super().__init__(inner)
        self.alpha = alpha

    def attach(self, f: Model, schema: Schema) -> None:
        self.target = mixable(schema, "mixup")
        super().attach(f, schema)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        if not self.alpha:
            return self.inner.loss(f, batch, t)
        y = distributions(batch["target"], self.target)
        partner = torch.randperm(len(y), device=y.device)
        share = beta_shares(len(y), self.alpha, y)
        x = mapped(lambda part: blend(part, part[partner], share), batch["input"])
        return self.inner.loss(f, {**batch, "input": x, "target": blend(y, y[partner], share)}, t)
