"""How the answers of one run put rows of one class before those of the other, at every threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thetastar.functional.ranking import average_precisions, precision_recall_curves, roc_areas, roc_curves

Array = NDArray[Any]


@dataclass(frozen=True)
class Ranked:
    """How one seed puts rows of the second of two classes before the others.

    Attributes:
        roc: (points, 2) false-positive and true-positive rates, from the highest threshold to the lowest.
        recall_precision: (points, 2), alike.
        area, precision: below the first, and the average precision.
        share: of the second class, what a guess would have as its precision.
    """

    roc: Array
    recall_precision: Array
    area: float
    precision: float
    share: float


def ranked(of_truth: Array, positive: Array) -> Ranked | None:
    """The curves of one run from what its answers gave the truth; None where all rows are of one class.

    Probabilities count to a millionth: 1 − p of what is kept for the one class is not to the last digit p of the other.

    Shapes: (n,) probabilities of the true class, (n,) whether that is the second one.
    """
    if positive.all() or not positive.any():
        return None
    score = np.round(np.where(positive, of_truth, 1 - of_truth), 6)
    values, at = np.unique(score, return_inverse=True)

    def counted(rows: Array) -> torch.Tensor:
        return torch.from_numpy(np.bincount(at[rows], minlength=len(values))).double()[None]

    members, others = counted(positive), counted(~positive)
    return Ranked(
        points(*roc_curves(members, others)),
        points(*precision_recall_curves(members, others)),
        area=roc_areas(members, others).item(),
        precision=average_precisions(members, others).item(),
        share=float(positive.mean()),
    )


def points(x: torch.Tensor, y: torch.Tensor) -> Array:
    """(1, n), (1, n) → (n, 2)."""
    return torch.cat([x, y]).T.numpy()
