"""Training under Gaussian noise on the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.func import functional_call

from thetastar.functional.stacking import Member
from thetastar.functional.wrapping import Wrapper
from thetastar.protocols import Aux, Batch, Clock, Method, Model
from thetastar.registry import NonNegative

__all__ = ["weight_noise"]


class weight_noise(Wrapper):
    """min_θ E_ε[R(θ + ε)], ε_w ~ N(0, σ² · mean of w² over its tensor), one draw a batch: flat minima are sought.

    For a linear model under squared error it is, in expectation, an L2 penalty: R(θ) + σ² · mean of w² · mean of ‖x‖².

    Args:
        inner: the method whose loss is formed with noisy weights.
        sigma: σ ≥ 0, in units of the typical weight of a tensor, over matrices and kernels; 0 is the inner method.

    Source: An 1996, The effects of adding noise during backpropagation training on a generalization performance.
    """

    def __init__(self, *, inner: Method = "supervised", sigma: NonNegative = 0.05) -> None:  # type: ignore[assignment]
        super().__init__(inner)
        self.sigma = sigma

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        noisy = {f"f.{name}": self.noisy(w) for name, w in f.named_parameters() if w.ndim > 1}
        return functional_call(Member(f, self.inner), noisy, ("loss", batch, t))

    def noisy(self, w: Tensor) -> Tensor:
        typical = torch.linalg.vector_norm(w) / math.sqrt(w.numel())  # its slope at w = 0 is 0, that of a root infinite
        return w + self.sigma * typical * torch.randn_like(w)
