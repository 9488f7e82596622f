"""Words as learnt vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thetastar.protocols import Field


class Vectors(nn.Module):
    """e_j = Σ_k x_jk E_jk for each column j of words: the row of E_j that belongs to the word, x_j being one-hot.

    Rows are drawn from a normal at the start; those of words that training never shows (unknown ones, where none are
    missing) are 0, the mean of that normal, and stay so.

    Args:
        field: of the input; its blocks say which entries are one word each.
        width: numbers a word, ≥ 1.

    Shapes: (batch, entries) → (batch, blocks · width).

    Source: Guo and Berkhahn 2016, Entity embeddings of categorical variables.
    """

    def __init__(self, field: Field, width: int) -> None:
        super().__init__()
        self.blocks = field.blocks
        self.size = len(self.blocks) * width
        self.tables = nn.ParameterList()
        for first, count in self.blocks:
            table = torch.randn(count, width) * 0.3
            seen = [len(cuts) > 1 for cuts in field.quantiles[first : first + count]]
            table[[not shown for shown in seen]] = 0.0
            self.tables.append(nn.Parameter(table))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, j : j + n] @ table for (j, n), table in zip(self.blocks, self.tables, strict=True)], 1)


def entries(blocks: Sequence[tuple[int, int]]) -> set[int]:
    """All entries of the blocks."""
    return {entry for first, count in blocks for entry in range(first, first + count)}
