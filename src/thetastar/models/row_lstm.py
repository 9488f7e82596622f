"""The Row LSTM: a memory that goes down the image, a whole row at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thetastar.layers.raster import TOY, Levels, MaskedConv2d, Raster, Readout, lstm_step
from thetastar.protocols import Schema
from thetastar.registry import Count

__all__ = ["row_lstm"]


class row_lstm(Raster):
    """Row LSTM: a memory that goes down the image by rows, (o, f, i, g) = K_s ∗ h_{r−1} + K_i ∗ x_r.

    c_r = σ(f) ⊙ c_{r−1} + σ(i) ⊙ tanh(g),  h_r = σ(o) ⊙ tanh(c_r) at every place of row r.

    K_s and K_i are convolutions along a row, K_i masked. A state looks at three of the row above, so that a triangle
    comes into sight; what lies outside of it stays hidden. First comes a masked square, then the layers with a shortcut
    around each.

    Args:
        schema: images; of colours, green sees red and blue sees both.
        levels: of brightness into which pixels are digitised; 256 keeps bytes as they are.
        width: units of the memory for each channel of the image.
        depth: layers.
        reach: pixels to each side that a state sees of the row above.
        conditional: every gate is told the class.

    Shapes: (batch, channels, height, width) → (batch, outputs), a linear answer from the mean over all places.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks, section 3.1.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "autoregressive"}

    def __init__(
        self,
        schema: Schema,
        *,
        levels: Levels = 256,
        width: Count = 32,
        depth: Count = 2,
        reach: Count = 1,
        conditional: bool = False,
    ) -> None:
        super().__init__(schema, levels, width, conditional)
        self.first = MaskedConv2d(self.channels, 1, width, 3, above=True, own=False)
        self.layers = nn.ModuleList(Row(self.channels, width, reach, self.classes) for _ in range(depth))
        self.readout = Readout(self.channels, width)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {**TOY, "model": {"name": "row_lstm", "levels": 4, "width": 8, "depth": 1}}

    def places(self, codes: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.first(self.seen(codes))
        for layer in self.layers:
            h = layer(h, given)
        return self.readout(h)


class Row(nn.Module):
    """One layer: (batch, channels · width, height, width) → the same.

    Args:
        channels: of the image.
        width: units a channel.
        reach: of the state, to each side.
        classes: to be told of; 0 is none.
    """

    def __init__(self, channels: int, width: int, reach: int, classes: int) -> None:
        super().__init__()
        maps = channels * width
        self.inputs = MaskedConv2d(channels, width, width, reach, own=True, copies=4)
        self.state = nn.Conv1d(maps, 4 * maps, 2 * reach + 1, padding=reach, bias=False)
        self.out = MaskedConv2d(channels, width, width, own=True)
        self.told = nn.Embedding(classes, 4 * maps) if classes else None

    def forward(self, x: Tensor, given: Tensor | None) -> Tensor:
        gates = self.inputs(x)
        if given is not None and self.told is not None:
            gates = gates + self.told(given)[:, :, None, None]
        h = c = torch.zeros_like(x[:, :, 0])
        rows: list[Tensor] = []
        for row in gates.unbind(2):
            h, c = lstm_step(row + self.state(h), c)
            rows.append(h)
        return x + self.out(torch.stack(rows, 2))
