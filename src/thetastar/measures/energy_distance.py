"""How far samples are from the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.keys import scramble
from thetastar.protocols import Batch, Measure
from thetastar.registry import Count

__all__ = ["energy_distance"]


class energy_distance(Measure):
    """√(2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖) between samples X and inputs Y, in the input's units: ≥ 0.

    Expectations are over all pairs that were seen, each with itself included, so that equal sets give 0; two sets of
    n from the same distribution come out at about √(2 E‖X − X′‖ / n), so compare at equal n.

    Args:
        cap: examples kept of either side; beyond it, a uniform subset (equal runs keep the same one).

    Shapes: samples (batch, …), input (batch, …).

    Source: Székely and Rizzo 2013, Energy statistics: a class of statistics based on distances.
    """

    wants = frozenset({"samples"})
    higher_is_better = False

    def __init__(self, *, cap: Count = 1024) -> None:
        self.cap = cap
        self.samples, self.inputs = Reservoir(cap, 1), Reservoir(cap, 2)

    @classmethod
    def example(cls) -> dict[str, Any]:
        method = {"name": "gan", "generator": {"name": "mlp", "widths": [16]}, "latent": 2}
        model = {"name": "mlp", "widths": [16]}
        return {"data": "blobs", "model": model, "method": method, "measures": [cls.__name__]}

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        if "samples" not in out:
            raise UserError(
                "energy_distance of a method that draws no samples", "a generative method", "choose gan or diffusion"
            )
        self.samples.take(out["samples"])
        self.inputs.take(batch["input"])

    def compute(self) -> dict[str, float]:
        x, y = self.samples.kept, self.inputs.kept
        if not len(x) or not len(y):
            return {"energy_distance": float("nan")}
        squared = 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)
        return {"energy_distance": squared.clamp_min(0).sqrt().item()}


def mean_distance(x: Tensor, y: Tensor) -> Tensor:
    """E‖X − Y‖ over all pairs: (n, entries), (m, entries) → ()."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").mean()


class Reservoir:
    """A uniform subset of at most `cap` rows of a stream: those whose position has the smallest hash."""

    def __init__(self, cap: int, key: int) -> None:
        self.cap, self.seen = cap, key << 40  # far apart, so that two reservoirs keep unrelated positions
        self.kept, self.marks = torch.empty(0, 0, dtype=torch.float64), torch.empty(0, dtype=torch.int64)

    def take(self, rows: Tensor) -> None:
        """(batch, …) rows, flattened."""
        rows = rows.flatten(1).double()
        marks = scramble(torch.arange(self.seen, self.seen + len(rows), device=rows.device))
        self.seen += len(rows)
        if len(self.kept):
            rows, marks = torch.cat([self.kept, rows]), torch.cat([self.marks, marks])
        order = marks.argsort()[: self.cap]
        self.kept, self.marks = rows[order], marks[order]
