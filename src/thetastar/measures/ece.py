"""Expected calibration error."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.functional.reliability import reliability_means, reliability_sums
from thetastar.protocols import Batch, Measure
from thetastar.registry import Count

__all__ = ["ece"]


class ece(Measure):
    """Expected calibration error Σ_b (n_b / n) |accuracy_b − confidence_b| over bins of equal width, in [0, 1].

    Args:
        bins: of confidence; confidence 1.0 belongs to the last one.

    Source: Guo, Pleiss, Sun and Weinberger 2017, On calibration of modern neural networks.
    """

    wants = frozenset({"probabilities"})
    kinds = frozenset({"category"})
    higher_is_better = False

    def __init__(self, *, bins: Count = 15) -> None:
        self.bins = bins
        self.sums = torch.zeros(3, bins, dtype=torch.float64)  # count, sum of confidence, right

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        confidence, chosen = out["probabilities"].max(-1)
        added = reliability_sums(confidence, chosen == batch["target"], self.bins)
        self.sums = self.sums.to(added.device) + added

    def compute(self) -> dict[str, float]:
        count, confidence, right = self.sums
        return {"ece": float((right - confidence).abs().sum() / count.sum().clamp_min(1))}

    def table(self) -> dict[str, list[float]]:
        """The reliability diagram: examples, mean confidence and accuracy by bin; 0 where a bin is empty."""
        count, confidence, accuracy = reliability_means(self.sums)
        return {"count": count.tolist(), "confidence": confidence.tolist(), "accuracy": accuracy.tolist()}
