"""Training on images with a rectangle of another image."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.mixing import beta_shares, blend, distributions, mixable, rectangles
from thetastar.functional.wrapping import Wrapper
from thetastar.protocols import Aux, Batch, Clock, Method, Model, Schema
from thetastar.registry import NonNegative

__all__ = ["cutmix"]


class cutmix(Wrapper):
    """x̃ = (1 − M) xᵢ + M xⱼ,  ỹ = λ yᵢ + (1 − λ) yⱼ,  M a rectangle of area 1 − λ;  the inner loss of (x̃, ỹ).

    λ is drawn from Beta(α, α) and then set to the share of pixels that xᵢ keeps, since the edge may cut the rectangle.

    Args:
        inner: the method whose loss is formed on mixed images.
        alpha: α ≥ 0; 0 is the inner method itself, 1 draws the area evenly.

    Source: Yun, Han, Oh, Chun, Choe and Yoo 2019, CutMix: regularization strategy to train strong classifiers with
    localizable features.
    """

    kinds = frozenset({"image"})

    def __init__(self, *, inner: Method = "supervised", alpha: NonNegative = 1.0) -> None:  # type: ignore[assignment]
        super().__init__(inner)
        self.alpha, self.kinds = alpha, frozenset({"image"})

    def attach(self, f: Model, schema: Schema) -> None:
        self.target = mixable(schema, "cutmix")
        super().attach(f, schema)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        if not self.alpha:
            return self.inner.loss(f, batch, t)
        x, y = batch["input"], distributions(batch["target"], self.target)
        partner = torch.randperm(len(y), device=y.device)
        mask = rectangles(len(x), x.shape[2], x.shape[3], 1 - beta_shares(len(x), self.alpha, x))
        kept = 1 - mask.mean((1, 2, 3))
        mixed = torch.where(mask > 0, x[partner], x)
        return self.inner.loss(f, {**batch, "input": mixed, "target": blend(y, y[partner], kept)}, t)
