"""Share of pixels that are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.functional.masks import known
from thetastar.protocols import Batch, Measure

__all__ = ["pixel_accuracy"]


class pixel_accuracy(Measure):
    """Σ 1[ŷᵢ = yᵢ] / n over all pixels i of all images that are not void, in [0, 1].

    What is everywhere, such as sky and road, decides it: look at mean_iou beside it.

    Shapes: prediction and target (batch, height, width) of classes.
    """

    wants = frozenset({"prediction"})
    kinds = frozenset({"mask"})

    def __init__(self) -> None:
        self.counts = torch.zeros(2, dtype=torch.int64)  # right, known

    @classmethod
    def example(cls) -> dict[str, Any]:
        data = {"name": "shapes", "rows": 48, "size": 16}
        return {"data": data, "model": {"name": "unet", "width": 4, "depth": 1}, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        counted = known(batch["target"])
        right = counted & (out["prediction"] == batch["target"])
        self.counts = torch.stack([right.sum(), counted.sum()]) + self.counts.to(right.device)

    def compute(self) -> dict[str, float]:
        right, counted = self.counts.tolist()
        return {"pixel_accuracy": right / max(counted, 1)}
