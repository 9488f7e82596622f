"""How far the directions of the features are spread."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.protocols import Batch, Measure

__all__ = ["spread"]


class spread(Measure):
    """√(Σ_j Var(zⱼ/‖z‖)) = √(1 − ‖mean of z/‖z‖‖²): the deviation of normalised features from their mean, in [0, 1].

    Streaming: the sum of the directions is kept, in float64. 0 is collapse, all features pointing one way; features
    that are never negative, as those behind a ReLU, stay below 1.

    Source: Chen and He 2021, Exploring simple siamese representation learning, which divides it by √width.
    """

    wants = frozenset({"features"})
    higher_is_better = None  # far apart does not mean well apart

    def __init__(self) -> None:
        self.rows = 0
        self.total = torch.zeros((), dtype=torch.float64)

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        z = F.normalize(out["features"].flatten(1).double(), dim=1)
        self.rows += len(z)
        self.total = self.total.to(z.device) + z.sum(0)

    def compute(self) -> dict[str, float]:
        centre = self.total / max(self.rows, 1)
        return {"spread": float((1 - centre.square().sum()).clamp_min(0).sqrt())}
