"""Nets that read an image in raster order and know at each place only what came before."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.raster import digitised, intensities, raster_mask
from thetastar.layers.ends import Standardise, head, only_image
from thetastar.protocols import Model, Schema

Levels = Annotated[int, Ge(2), Le(256)]
TOY = {
    "data": {"name": "bars", "rows": 80, "batch_size": 16},
    "method": "autoregressive",
}  # what the models' examples train on


class Raster(Model):
    """f as one conditional after the other: at place i, what it makes of x_1, …, x_{i−1} in raster order.

    The order is row by row, in a row pixel by pixel, in a pixel channel by channel. Images are digitised on their way
    in, so f says nothing of differences that a level does not tell. `features` are those of the places on average
    (Chen et al. 2020); what is made of each place is the method's.

    Args:
        schema: images; classes, where `conditional`.
        levels: of brightness.
        width: features for each channel of the image.
        conditional: what it makes of a place depends on the class, too.
    """

    def __init__(self, schema: Schema, levels: int, width: int, conditional: bool) -> None:
        super().__init__()
        name = type(self).__name__
        field = only_image(schema, name)
        self.channels, self.height, self.across = field.shape
        self.levels, self.maps = levels, width * self.channels
        self.classes = 0
        if conditional:
            target = schema.target
            if target is None or target.kind != "category":
                got = f"{name} with conditional on {target.kind if target else 'no'} targets"
                raise UserError(got, "classes", "leave conditional out")
            self.classes = int(target.classes or 0)
        self.standardise = Standardise(field)
        self.width = self.maps
        self.head = head(self.maps, schema)
        if levels < 256:
            self.said = [f"images are digitised in {levels} levels of brightness"]

    def digitise(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) in [0, 1] → whole numbers in [0, levels)."""
        return digitised(x, self.levels)

    def seen(self, codes: Tensor) -> Tensor:
        """Codes as standardised images."""
        return self.standardise(intensities(codes, self.levels))

    @abstractmethod
    def places(self, codes: Tensor, given: Tensor | None = None) -> Tensor:
        """What is known before each place, the features of channel c in the c-th part.

        Shapes: codes (batch, channels, rows ≤ height, width), given (batch,) classes → (batch, maps, rows, width).
        """

    def place(self, codes: Tensor, at: tuple[int, int, int], given: Tensor | None, memory: dict[str, Any]) -> Tensor:
        """`places` at one (row, column, channel) of images that are complete up to there, asked in raster order.

        `memory` is empty at first, and whatever f wants to keep.

        Shapes: → (batch, maps); of these the c-th part counts.
        """
        row, column, _ = at
        return self.places(codes[:, :, : row + 1], given)[:, :, row, column]

    def features(self, x: Tensor) -> Tensor:
        return self.places(self.digitise(x)).mean((2, 3))


class MaskedConv2d(nn.Module):
    """A convolution that sees nothing of what follows in raster order; the image's size stays.

    Args:
        channels: of the image; inputs and outputs belong to each of them in equal parts.
        before, after: features a channel.
        reach: pixels to the left that it sees.
        above: whether it sees as many rows above, to both sides.
        own: mask B, which sees the features of its own channel and pixel; mask A does not.
        copies: outputs for each of `after`, one whole set after the other, as gates are.

    Shapes: (batch, channels · before, height, width) → (batch, copies · channels · after, height, width).

    Source: van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks.
    """

    mask: Tensor

    def __init__(
        self, channels: int, before: int, after: int, reach: int = 0, *, above: bool = False, own: bool, copies: int = 1
    ) -> None:
        super().__init__()
        up, right = (reach, reach) if above else (0, 0)
        size = (up + 1, reach + 1 + right)
        drawn = nn.Conv2d(channels * before, copies * channels * after, size)
        self.weight, self.bias = drawn.weight, drawn.bias
        groups = torch.arange(channels).repeat_interleave(after).repeat(copies)
        inputs = torch.arange(channels).repeat_interleave(before)
        self.register_buffer("mask", raster_mask(groups, inputs, up, reach, right, own).float(), persistent=False)
        self.margin = (reach, right, up, 0)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, self.margin), self.weight * self.mask, self.bias)


class Readout(nn.Module):
    """ReLU, a masked 1×1 convolution, ReLU: the last layers before the levels' own.

    Shapes: (batch, channels · width, height, width) → the same.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.mix = MaskedConv2d(channels, width, width, own=True)

    def forward(self, h: Tensor) -> Tensor:
        return F.relu(self.mix(F.relu(h)))


def lstm_step(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """c ← σ(f) ⊙ c + σ(i) ⊙ tanh(g), h = σ(o) ⊙ tanh(c) from the sums (o, f, i, g) along axis 1; (h, c).

    Source: Hochreiter and Schmidhuber 1997, Long short-term memory; with the forget gate of Gers, Schmidhuber and
    Cummins 2000.
    """
    out, keep, write, value = gates.chunk(4, 1)
    cell = torch.sigmoid(keep) * cell + torch.sigmoid(write) * torch.tanh(value)
    return torch.sigmoid(out) * torch.tanh(cell), cell
