"""The Diagonal BiLSTM: a memory that goes through the image along its diagonals, from both upper corners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.functional.raster import skewed, straightened
from thetastar.layers.raster import TOY, Levels, MaskedConv2d, Raster, Readout, lstm_step
from thetastar.protocols import Schema
from thetastar.registry import Count

__all__ = ["diagonal_lstm"]


class diagonal_lstm(Raster):
    """Diagonal BiLSTM: memories that go through the image by diagonals, (o, f, i, g) = K_s ∗ h_{d−1} + K_i x_d.

    c_d = σ(f) ⊙ c_{d−1} + σ(i) ⊙ tanh(g),  h_d = σ(o) ⊙ tanh(c_d) at every place of diagonal d.

    d counts diagonals: a state looks at the pixel to its left and the one above. A second memory goes from the upper
    right corner; it is moved down by one row, so that it knows nothing of the pixel's own row. First comes a masked
    square, then the layers with a shortcut around each.

    Together they see all that came before, for which the image gets one column more: without it the last pixel of a row
    would be in sight only of those below it that the square reaches.

    Args:
        schema: images; of colours, green sees red and blue sees both.
        levels: of brightness into which pixels are digitised; 256 keeps bytes as they are.
        width: units of either memory for each channel of the image.
        depth: layers.
        conditional: every gate is told the class.

    Shapes: (batch, channels, height, width) → (batch, outputs), a linear answer from the mean over all places.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks, section 3.2.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "autoregressive"}

    def __init__(
        self,
        schema: Schema,
        *,
        levels: Levels = 256,
        width: Count = 32,
        depth: Count = 2,
        conditional: bool = False,
    ) -> None:
        super().__init__(schema, levels, width, conditional)
        self.first = MaskedConv2d(self.channels, 1, width, 3, above=True, own=False)
        self.layers = nn.ModuleList(Both(self.channels, width, self.classes) for _ in range(depth))
        self.readout = Readout(self.channels, width)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {**TOY, "model": {"name": "diagonal_lstm", "levels": 4, "width": 8, "depth": 1}}

    def places(self, codes: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.first(F.pad(self.seen(codes), (0, 1)))  # what is known in the column more is all of the row
        for layer in self.layers:
            h = layer(h, given)
        return self.readout(h[..., :-1])


class Both(nn.Module):
    """One layer of both memories: (batch, channels · width, height, width) → the same."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.left, self.right = (Diagonal(channels, width, classes) for _ in range(2))
        self.out = MaskedConv2d(channels, width, width, own=True)

    def forward(self, x: Tensor, given: Tensor | None) -> Tensor:
        left, right = self.left(x, given), self.right(x.flip(3), given).flip(3)
        return x + self.out(left + F.pad(right, (0, 0, 1, 0))[:, :, :-1])


class Diagonal(nn.Module):
    """The memory from the upper left corner: (batch, channels · width, height, width) → the same."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        maps = channels * width
        self.inputs = MaskedConv2d(channels, width, width, own=True, copies=4)
        self.state = nn.Conv1d(maps, 4 * maps, 2, bias=False)
        self.told = nn.Embedding(classes, 4 * maps) if classes else None

    def forward(self, x: Tensor, given: Tensor | None) -> Tensor:
        gates = self.inputs(x)
        if given is not None and self.told is not None:
            gates = gates + self.told(given)[:, :, None, None]
        h = c = torch.zeros_like(x[..., 0])  # (batch, maps, height): a diagonal, by row
        diagonals: list[Tensor] = []
        for gate in skewed(gates).unbind(3):
            h, c = lstm_step(gate + self.state(F.pad(h, (1, 0))), c)
            diagonals.append(h)
        return straightened(torch.stack(diagonals, 3), x.shape[3])
