"""Convolutions: as products of matrices, and along one axis their sizes, and what an output sees of the input.

Source: Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning; Araujo, Norris and Sim 2019,
Computing receptive fields of convolutional neural networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional as F

Pair = tuple[int, int]  # down, across


def span(kernel: int, dilation: int = 1) -> int:
    """d(k − 1) + 1: the entries between the first and the last that a kernel touches, both included."""
    return dilation * (kernel - 1) + 1


def output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, *, ceil: bool = False
) -> int:
    """⌊(n − d(k − 1) − 1 + 2p)/s⌋ + 1, the places at which a kernel fits; ≤ 0 where it does not.

    Args:
        size: n ≥ 1 entries of the input.
        kernel, stride, dilation: k, s, d ≥ 1.
        padding: p ≥ 0 on both sides.
        ceil: round up, unless the last place would begin in the padding on the right (poolings with `ceil_mode`).
    """
    room = size + 2 * padding - span(kernel, dilation)
    places = (-(-room // stride) if ceil else room // stride) + 1
    return places - 1 if ceil and (places - 1) * stride >= size + padding else places


def transposed_output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, extra: int = 0
) -> int:
    """(n − 1)s − 2p + d(k − 1) + 1 + e of a transposed convolution; e is its output padding."""
    return (size - 1) * stride - 2 * padding + span(kernel, dilation) + extra


def unread(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Entries at the end of the input that no place of the kernel reaches, because the size is rounded down."""
    rest = (size + 2 * padding - span(kernel, dilation)) % stride
    return max(0, rest - padding)


def places_of(size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Tensor:
    """For every place of a kernel the entries that it touches, counted row by row in an image of `size`.

    Shapes: → (H', W', kernel down, kernel across), H' and W' the places down and across.
    """
    axes = zip(size, kernel, stride, dilation, strict=True)
    rows, columns = (
        s * torch.arange(output_size(n, k, s, 0, d))[:, None] + d * torch.arange(k)[None] for n, k, s, d in axes
    )
    return rows[:, None, :, None] * size[1] + columns[None, :, None, :]


def patches(x: Tensor, kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1)) -> Tensor:
    """What a kernel sees at each of its places.

    Shapes: (batch, channels, H, W) → (batch, channels, H', W', kernel down, kernel across).
    """
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    height, width = padded.shape[-2:]
    return padded.flatten(2)[:, :, places_of((height, width), kernel, stride, dilation)]


def laid(found: Tensor, size: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1)) -> Tensor:
    """The adjoint of `patches`: every patch goes back to where it was taken, and what meets there is added up.

    Shapes: (batch, channels, H', W', kernel down, kernel across) → (batch, channels, *size).
    """
    height, width = (n + 2 * p for n, p in zip(size, padding, strict=True))
    down, across, *kernel = found.shape[2:]
    every = places_of((height, width), (kernel[0], kernel[1]), stride, dilation)[:down, :across]
    flat = found.new_zeros(*found.shape[:2], height * width).index_add(2, every.flatten(), found.flatten(2))
    whole = flat.unflatten(2, (height, width))
    return whole[:, :, padding[0] : height - padding[0], padding[1] : width - padding[1]]


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """y = P Wᵀ + b in four steps: take patches, multiply by the weights as a matrix, add the bias, reshape.

    P has a row for every place of the kernel and a column for every number that it sees there, W a row a filter. Each
    of `groups` groups of channels has its own P and W.

    Shapes: x (batch, channels, H, W), weight (filters, channels / groups, kernel down, kernel across), bias (filters,)
    → (batch, filters, H', W').
    """
    kernel = (weight.shape[2], weight.shape[3])
    found = patches(x, kernel, stride, padding, dilation).unflatten(1, (groups, -1))
    down, across = found.shape[3:5]
    matrix = found.permute(0, 1, 3, 4, 2, 5, 6).flatten(4).flatten(2, 3)  # (batch, groups, H'W', channels/g · kernel)
    rows = weight.flatten(1).unflatten(0, (groups, -1))  # (groups, filters/g, channels/g · kernel)
    y = (matrix @ rows.transpose(1, 2)).transpose(2, 3).flatten(1, 2)  # (batch, filters, H'W')
    return (y if bias is None else y + bias[:, None]).unflatten(2, (down, across))


def convolve_transposed(
    y: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    extra: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Kᵀy, where Kx = `convolve` without a bias: Y W, a patch for every place, laid where the patches were taken.

    ⟨Kx, y⟩ = ⟨x, Kᵀy⟩ for all x and y, so it is what backpropagation does through K. It is no inverse.

    Args:
        extra: rows and columns at the end that no place reached, for strides that do not divide the size.

    Shapes: y (batch, filters, H', W'), weight as of K (filters, channels / groups, …), bias (channels,)
    → (batch, channels, H, W).
    """
    kernel = (weight.shape[2], weight.shape[3])
    down, across = y.shape[2:]
    rows = weight.flatten(1).unflatten(0, (groups, -1))  # (groups, filters/g, channels/g · kernel)
    matrix = (
        y.flatten(2).unflatten(1, (groups, -1)).transpose(2, 3) @ rows
    )  # (batch, groups, H'W', channels/g · kernel)
    found = matrix.unflatten(3, (-1, *kernel)).unflatten(2, (down, across))
    axes = zip((down, across), kernel, stride, padding, dilation, extra, strict=True)
    height, width = (transposed_output_size(*axis) for axis in axes)
    x = laid(found.permute(0, 1, 4, 2, 3, 5, 6).flatten(1, 2), (height, width), stride, padding, dilation)
    return x if bias is None else x + bias[:, None, None]


@dataclass(frozen=True)
class Window:
    """What output o of one axis sees of the input: entries from `start + o·stride` over a length of `reach`.

    r ← r + d(k − 1)·j and j ← j·s, layer by layer, from r = 1 and j = 1. After a transposed convolution j may be a
    fraction, and an output sees at most so much: whole steps of the coarser places from which it was made.

    Attributes:
        reach: r − 1 ≥ 0, from the first to the last entry.
        stride: j > 0, entries of the input between neighbours of the output: the effective stride.
        start: the first entry that output 0 sees; negative in the padding.
        base, grid: reach and stride where places were first made finer.
    """

    reach: Fraction = Fraction(0)
    stride: Fraction = Fraction(1)
    start: Fraction = Fraction(0)
    base: Fraction = Fraction(0)
    grid: Fraction = Fraction(1)

    @property
    def size(self) -> int:
        """r, the receptive field: the most entries that an output may see."""
        return math.floor(self.base + (self.reach - self.base) // self.grid * self.grid) + 1

    def through(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Window:
        """After a convolution or pooling."""
        return replace(
            self,
            reach=self.reach + (span(kernel, dilation) - 1) * self.stride,
            stride=self.stride * stride,
            start=self.start - padding * self.stride,
        )

    def transposed(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Window:
        """After a transposed convolution: output o hears of inputs i with o = i·s + t·d − p, 0 ≤ t < k."""
        step, width = self.stride / stride, span(kernel, dilation) - 1
        finer = self if self.base or self.grid != 1 else replace(self, base=self.reach, grid=self.stride)
        return replace(
            finer,
            reach=self.reach + width * step,
            stride=step,
            start=self.start + (padding - width) * step,
        )

    def adaptive(self, size: int, places: int) -> Window:
        """After adaptive pooling, whose place o covers ⌊o·n/m⌋ to ⌈(o + 1)·n/m⌉; the widest of them."""
        ratio = Fraction(size, places)
        kernel = int(ratio) if ratio.denominator == 1 else min(math.ceil(ratio) + 1, size)
        return replace(self, reach=self.reach + (kernel - 1) * self.stride, stride=self.stride * ratio)

    def joined(self, other: Window) -> Window:
        """What a sum of both sees; the coarser stride where they differ."""
        start = min(self.start, other.start)
        end = max(self.start + self.reach, other.start + other.reach)
        stride = max(self.stride, other.stride)
        for one, two in ((self, other), (other, self)):
            same = (one.base, one.grid) == (two.base, two.grid)
            if same or (one.start, one.start + one.reach) == (start, end):  # it sees all that the other does
                return replace(one, reach=end - start, stride=stride, start=start)
        return Window(end - start, stride, start)

    def seen(self, place: int, size: int) -> tuple[int, int]:
        """The first and the last entry of an input of `size` that output `place` sees."""
        first = self.start + place * self.stride
        return max(0, math.ceil(first)), min(size - 1, math.floor(first + self.reach))
