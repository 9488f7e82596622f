"""How far predicted regions cover the true ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.functional.counts import hits
from thetastar.protocols import Batch, Measure

__all__ = ["mean_iou"]


class mean_iou(Measure):
    """Mean over classes of intersection over union TP / (TP + FP + FN), in [0, 1].

    Counted over all pixels of all images (or rows); classes that are neither there nor called are left out.

    Shapes: prediction and target (batch, …) of classes, probabilities (batch, classes, …).

    Source: Everingham et al. 2010, The PASCAL visual object classes challenge.
    """

    wants = frozenset({"prediction", "probabilities"})
    kinds = frozenset({"category"})

    def __init__(self) -> None:
        self.counts = torch.zeros(3, 1, dtype=torch.int64)

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        prediction, target = out["prediction"].flatten(), batch["target"].flatten()
        self.counts = hits(prediction, target, out["probabilities"].shape[1]) + self.counts.to(target.device)

    def compute(self) -> dict[str, float]:
        both, called, there = self.counts.double()
        union = called + there - both
        shares = both / union.clamp_min(1)
        return {"mean_iou": (shares.sum() / (union > 0).sum().clamp_min(1)).item()}

    def table(self) -> list[float]:
        """By class."""
        both, called, there = self.counts.double()
        return (both / (called + there - both).clamp_min(1)).tolist()
