"""The gated PixelCNN: two stacks of convolutions, one for the rows above, one for the pixels to the left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.layers.raster import TOY, Levels, MaskedConv2d, Raster, Readout
from thetastar.protocols import Schema
from thetastar.registry import Count

__all__ = ["pixelcnn"]

Size = Literal[3, 5, 7, 9, 11]


class pixelcnn(Raster):
    """Gated PixelCNN: y = tanh(W_f ∗ h + V_f s) ⊙ σ(W_g ∗ h + V_g s) in a vertical and a horizontal stack.

    The vertical stack sees all rows above, both ways; the horizontal one the pixels to the left, and what the vertical
    one says of its place, with a shortcut around each layer. A single stack of masked squares would have a blind spot:
    what lies above and to the right by more than its rows would never come into sight. s is the class.

    Args:
        schema: images; of colours, green sees red and blue sees both.
        levels: of brightness into which pixels are digitised; 256 keeps bytes as they are.
        width: feature maps for each channel of the image.
        depth: layers.
        first: pixels across the squares of the first layer, which does not see the pixel itself.
        size: pixels across the squares of the other layers.
        conditional: every layer is told the class.

    Shapes: (batch, channels, height, width) → (batch, outputs), a linear answer from the mean over all places.

    Source: van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves and Kavukcuoglu 2016, Conditional image generation
    with PixelCNN decoders.
    """

    companions: ClassVar[Mapping[str, Any]] = {"method": "autoregressive"}

    def __init__(
        self,
        schema: Schema,
        *,
        levels: Levels = 256,
        width: Count = 32,
        depth: Count = 6,
        first: Size = 7,
        size: Size = 3,
        conditional: bool = False,
    ) -> None:
        super().__init__(schema, levels, width, conditional)
        channels = self.channels
        self.layers = nn.ModuleList(
            Gated(channels, width if layer else 1, width, size if layer else first, layer == 0, self.classes)
            for layer in range(depth)
        )
        self.readout = Readout(channels, width)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {**TOY, "model": {"name": "pixelcnn", "levels": 4, "width": 8, "depth": 2, "first": 3}}

    def places(self, codes: Tensor, given: Tensor | None = None) -> Tensor:
        x = self.seen(codes)
        return self.along_rows(x, self.from_above(x, given))

    def from_above(self, x: Tensor, given: Tensor | None) -> list[Tensor]:
        """What the vertical stack says of each place, layer by layer."""
        said: list[Tensor] = []
        for layer in cast("Iterable[Gated]", self.layers):
            x, news = layer.above(x, given)
            said.append(news)
        return said

    def along_rows(self, x: Tensor, news: Sequence[Tensor]) -> Tensor:
        """The horizontal stack; each row for itself."""
        for layer, said in zip(cast("Iterable[Gated]", self.layers), news, strict=True):
            x = layer.along(x, said)
        return self.readout(x)

    def place(self, codes: Tensor, at: tuple[int, int, int], given: Tensor | None, memory: dict[str, Any]) -> Tensor:
        row, column, channel = at
        x = self.seen(codes[:, :, : row + 1])
        if (column, channel) == (0, 0):  # the vertical stack knows all of the row before its first pixel
            memory["above"] = [said[:, :, row:] for said in self.from_above(x, given)]
        return self.along_rows(x[:, :, row:], memory["above"])[:, :, 0, column]


class Gated(nn.Module):
    """One layer of both stacks.

    Args:
        channels: of the image.
        before, width: feature maps a channel that come in and go out.
        size: pixels across the square.
        first: whether what comes in is the image itself, of which the pixel must not be seen.
        classes: to be told of; 0 is none.

    Shapes: (batch, channels · before, height, width) → (batch, channels · width, height, width).
    """

    def __init__(self, channels: int, before: int, width: int, size: int, first: bool, classes: int) -> None:
        super().__init__()
        maps, self.reach, self.first = channels * width, size // 2, first
        rows = self.reach + (not first)
        self.vertical = nn.Conv2d(channels * before, 2 * maps, (rows, size))
        self.horizontal = MaskedConv2d(channels, before, width, self.reach, own=not first, copies=2)
        self.down = nn.Conv2d(2 * maps, 2 * maps, 1, bias=False)
        self.out = MaskedConv2d(channels, width, width, own=True)
        self.told = nn.Embedding(classes, 2 * maps) if classes else None

    def above(self, v: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """The vertical stack, and what it says to the horizontal one."""
        height = v.shape[2]
        v = self.vertical(F.pad(v, (self.reach, self.reach, self.reach, 0)))[:, :, :height]
        if given is not None and self.told is not None:
            v = v + self.told(given)[:, :, None, None]  # the horizontal stack is told by way of `down`
        return gate(v), self.down(v)

    def along(self, h: Tensor, said: Tensor) -> Tensor:
        out = self.out(gate(self.horizontal(h) + said))
        return out if self.first else h + out


def gate(x: Tensor) -> Tensor:
    """tanh of the first half of the maps times σ of the second."""
    value, share = x.chunk(2, 1)
    return torch.tanh(value) * torch.sigmoid(share)
