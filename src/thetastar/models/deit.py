"""The data-efficient image transformer: a Vision Transformer with a second token, which listens to a teacher."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thetastar.layers.ends import head
from thetastar.models.vit import VisionTransformer
from thetastar.protocols import Schema

__all__ = ["deit_base", "deit_small", "deit_tiny"]


class Distilled(VisionTransformer):
    """A Vision Transformer with z₀ = [t; d; x₁E; …; x_nE] + p; f(x) = (W N(z)[0] + b + W′ N(z)[1] + b′) / 2.

    `both` returns the two answers apart, for methods that hold the first against the labels and the second against a
    teacher. Features are the mean of the two tokens.

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: Touvron, Cord, Douze, Massa, Sablayrolles and Jégou 2021, Training data-efficient image transformers and
    distillation through attention.
    """

    tokens = 2

    def answer(self, schema: Schema) -> None:
        super().answer(schema)
        self.dist_token = nn.Parameter(torch.zeros(1, 1, self.width))
        self.head_dist = head(self.width, schema)

    def front(self) -> Tensor:
        return torch.cat([self.cls_token, self.dist_token], 1)

    def features(self, x: Tensor) -> Tensor:
        return self.encoded(x)[:, :2].mean(1)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the class token says, and what the distillation token says: (batch, outputs) each."""
        z = self.encoded(x)
        return self.head(z[:, 0]), self.head_dist(z[:, 1])

    def answered(self, z: Tensor) -> Tensor:
        return (self.head(z[:, 0]) + self.head_dist(z[:, 1])) / 2

    def forward(self, x: Tensor) -> Tensor:
        return self.answered(self.encoded(x))


class deit_tiny(Distilled):
    """DeiT-Ti⚗: 12 blocks of width 192 with 3 heads. 5,910,800 parameters at 224×224, 1,000 classes, patches of 16."""

    size = (192, 12, 3)


class deit_small(Distilled):
    """DeiT-S⚗: 12 blocks of width 384 with 6 heads. 22,436,432 parameters at 224×224, 1,000 classes, patches of 16."""

    size = (384, 12, 6)


class deit_base(Distilled):
    """DeiT-B⚗: 12 blocks of width 768 with 12 heads. 87,338,192 parameters at 224×224, 1,000 classes, patches of 16."""

    size = (768, 12, 12)
