"""Which class is taken for which."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thetastar.functional.counts import confusion_matrix
from thetastar.protocols import Batch, Measure

__all__ = ["confusion"]


class confusion(Measure):
    """Confusion matrix C_ij = #{y = i, ŷ = j}; its value is the share of the commonest mistake i → j.

    The cells that are not 0 follow as "confusion[i,j]"; `table` gives the whole matrix.

    Shapes: prediction and target (batch,) of classes.
    """

    wants = frozenset({"prediction", "probabilities"})
    kinds = frozenset({"category"})
    higher_is_better = None

    def __init__(self) -> None:
        self.matrix = torch.zeros(1, 1, dtype=torch.int64)

    def update(self, out: Mapping[str, Tensor], batch: Batch) -> None:
        added = confusion_matrix(out["prediction"], batch["target"], out["probabilities"].shape[1])
        self.matrix = added + self.matrix.to(added.device)

    def compute(self) -> dict[str, float]:
        mistakes = self.matrix - self.matrix.diagonal().diag()
        cells = {f"confusion[{i},{j}]": float(self.matrix[i, j]) for i, j in self.matrix.nonzero().tolist()}
        return {"confusion": mistakes.max().item() / max(int(self.matrix.sum()), 1), **cells}

    def table(self) -> list[list[int]]:
        """C, rows the truth."""
        return self.matrix.tolist()
