"""The arithmetic of convolutions and poolings along one axis: sizes, and what an output sees of the input.

Source: Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning; Araujo, Norris and Sim 2019,
Computing receptive fields of convolutional neural networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction


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
