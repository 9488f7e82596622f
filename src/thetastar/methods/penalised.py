"""Penalties on the size of the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from thetastar.functional.wrapping import Wrapper
from thetastar.protocols import Aux, Batch, Clock, Method, Model
from thetastar.registry import NonNegative

__all__ = ["penalised"]


class penalised(Wrapper):
    """R(θ) + λ₁ ‖W‖₁ + λ₂/2 ‖W‖₂², over matrices and kernels.

    As a penalty the decay goes through the rule of the algorithm: Adam rescales it, where `adamw` does not. The
    subgradient of |w| makes weights hover about zero; for exact zeros take the proximal step, algorithm.l1.

    Args:
        inner: the method whose loss is added to.
        l1: λ₁ ≥ 0.
        l2: λ₂ ≥ 0; with mean squared error on n rows it is ridge regression with α = n λ₂ / 2, and the posterior mode
            under a Gaussian prior of variance ∝ 1/λ₂.

    Source: Hoerl and Kennard 1970, Ridge regression; Tibshirani 1996, Regression shrinkage and selection via the lasso.
    """

    def __init__(
        self,
        *,
        inner: Method = "supervised",  # type: ignore[assignment]
        l1: NonNegative = 0.0,
        l2: NonNegative = 1e-4,
    ) -> None:
        super().__init__(inner)
        self.l1, self.l2 = l1, l2

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        risk, aux = self.inner.loss(f, batch, t)
        penalty = self.penalty(f)
        aux.log["penalty"] = penalty.detach()
        return risk + penalty, aux

    def penalty(self, f: Model) -> Tensor:
        """λ₁ Σ|w| + λ₂/2 Σw²."""
        weights = [w for w in f.parameters() if w.requires_grad and w.ndim > 1]
        if not weights:
            return torch.zeros(())
        return torch.stack([self.l1 * w.abs().sum() + self.l2 / 2 * w.square().sum() for w in weights]).sum()
