"""How far predicted regions cover the true ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.functional.counts import hits
from thetastar.functional.masks import image_ious, ious, known
from thetastar.functional.means import RunningMean
from thetastar.protocols import Batch, Measure

__all__ = ["image_iou", "mean_iou"]

EXAMPLE = {"data": {"name": "shapes", "rows": 48, "size": 16}, "model": {"name": "unet", "width": 4, "depth": 1}}


class mean_iou(Measure):
    """Mean over classes of intersection over union TP / (TP + FP + FN), in [0, 1].

    Counted over all pixels of all images (or rows), those of masks that are void left out, as are classes that are
    neither there nor called. The share of each class follows as "mean_iou[c]".

    Shapes: prediction and target (batch, …) of classes, probabilities (batch, classes, …).

    Source: Everingham et al. 2010, The PASCAL visual object classes challenge.
    """

    wants = frozenset({"prediction", "probabilities"})
    kinds = frozenset({"category", "mask"})

    def __init__(self) -> None:
        self.counts = torch.zeros(3, 1, dtype=torch.int64)

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        prediction, target = out["prediction"].flatten(), batch["target"].flatten()
        if out["prediction"].ndim == 3:  # masks
            counted = known(target)
            prediction, target = prediction[counted], target[counted]
        self.counts = hits(prediction, target, out["probabilities"].shape[1]) + self.counts.to(target.device)

    def compute(self) -> dict[str, float]:
        shares, defined = ious(self.counts)
        by_class = {f"mean_iou[{c}]": shares[c].item() for c in defined.nonzero().flatten().tolist()}
        return {"mean_iou": (shares.sum() / defined.sum().clamp_min(1)).item(), **by_class}

    def table(self) -> list[float]:
        """By class."""
        return ious(self.counts)[0].tolist()


class image_iou(Measure):
    """Mean over images of the mean over classes, there or called in it, of TP / (TP + FP + FN), in [0, 1].

    Void pixels are left out. Every image counts alike, so that two learners can be compared image by image; small
    objects count for more than in the mean IoU over all pixels.

    Shapes: prediction and target (batch, height, width) of classes, probabilities (batch, classes, height, width).

    Source: Csurka, Larlus and Perronnin 2013, What is a good evaluation measure for semantic segmentation?
    """

    wants = frozenset({"prediction", "probabilities"})
    kinds = frozenset({"mask"})

    def __init__(self) -> None:
        self.mean = RunningMean()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {**EXAMPLE, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> Tensor:
        return self.mean.take(image_ious(out["prediction"], batch["target"], out["probabilities"].shape[1]))

    def compute(self) -> dict[str, float]:
        return {"image_iou": self.mean.value.item()}
