"""Inverted dropout whose masks are a function of a key and the position."""

from __future__ import annotations

from torch import Tensor, nn

from thetastar.functional.keys import next_key, uniform


class Dropout(nn.Module):
    """h ↦ h ⊙ m / (1 − p) with m ~ Bernoulli(1 − p) in training, identity otherwise.

    Masks come from a counter-based hash of the loss evaluation's key, so a member of a stacked population drops the
    same units as it would alone. Source: Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from
    overfitting.

    Args:
        p: share of units dropped, in [0, 1).
    """

    p: float | Tensor  # a tensor where members of a population differ in it

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = float(p)

    def forward(self, h: Tensor) -> Tensor:
        if not self.training or (isinstance(self.p, float) and self.p == 0):
            return h
        mask = uniform(next_key(h.device), h.shape, h.device) >= self.p
        return h * mask.to(h.dtype) * (1.0 / (1.0 - self.p))

    def extra_repr(self) -> str:
        return f"p={self.p}"


class StochasticDepth(nn.Module):
    """What a block adds, for whole examples at once: h ↦ h m / (1 − p) with one m ~ Bernoulli(1 − p) an example.

    Source: Huang, Sun, Liu, Sedra and Weinberger 2016, Deep networks with stochastic depth.

    Args:
        p: share of examples for which the block adds nothing in training, in [0, 1).

    Shapes: (batch, …) → (batch, …).
    """

    p: float | Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = float(p)

    def forward(self, h: Tensor) -> Tensor:
        if not self.training or (isinstance(self.p, float) and self.p == 0):
            return h
        mask = uniform(next_key(h.device), h.shape[:1], h.device) >= self.p
        return h * (mask.to(h.dtype) * (1.0 / (1.0 - self.p))).view(-1, *[1] * (h.ndim - 1))

    def extra_repr(self) -> str:
        return f"p={self.p}"
