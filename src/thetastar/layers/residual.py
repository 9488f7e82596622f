"""Blocks that add to their input what two or three convolutions make of it, and stages of such blocks.

Sources: He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition; by the same, 2016, Identity mappings
in deep residual networks (the blocks that begin with their normalisation).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from thetastar.errors import UserError

Shortcut = Literal["projection", "zeros", "none"]

NARROW = 16  # channels


class Block(nn.Module, ABC):
    """y = s(x) + F(x), with s the identity wherever F keeps the shape.

    Args:
        inputs: channels of x.
        planes: y has planes · expansion channels.
        stride: of the first 3×3 convolution of F, and of s.
        dilation: of the 3×3 convolutions: how many pixels apart the neighbours are.
        entry: dilation of the first of them, where it is another.
        groups: of the 3×3 convolutions.
        base_width: of planes · base_width / 64 · groups channels inside F (at least one a group).
        shortcut: s where F changes the shape, see `downsampled`; "none" leaves s out everywhere: y = F(x).

    Shapes: (batch, inputs, height, width) → (batch, planes · expansion, height / stride, width / stride), rounded up.
    """

    expansion: ClassVar[int] = 1
    preactivates: ClassVar[bool] = False  # F begins with its normalisation and φ, and y has neither

    def __init__(
        self,
        inputs: int,
        planes: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        entry: int | None = None,
        groups: int = 1,
        base_width: int = 64,
        shortcut: Shortcut = "projection",
    ) -> None:
        super().__init__()
        inner, outputs = max(planes * base_width // 64, 1) * groups, planes * self.expansion
        self.lay(inputs, inner, outputs, stride, (entry or dilation, dilation), groups)
        self.relu = nn.ReLU(inplace=True)  # of a norm or a sum, which no gradient needs
        self.skips = shortcut != "none"
        self.downsample = downsampled(inputs, outputs, stride, shortcut, norm=not self.preactivates)

    @abstractmethod
    def lay(self, inputs: int, inner: int, outputs: int, stride: int, dilations: tuple[int, int], groups: int) -> None:
        """Make the layers of F."""

    def joined(self, x: Tensor, before: Tensor, out: Tensor) -> Tensor:
        """s + F(x); `before` is what a change of shape starts from, x itself or its activation."""
        if not self.skips:
            return out
        return out.add_(x if self.downsample is None else self.downsample(before))  # no gradient needs F(x)


class BasicBlock(Block):
    """y = φ(s(x) + N(W₂ ∗ φ(N(W₁ ∗ x)))): two 3×3 convolutions, each with its batch norm N. Arguments as of `Block`."""

    def lay(self, inputs: int, inner: int, outputs: int, stride: int, dilations: tuple[int, int], groups: int) -> None:
        self.conv1 = conv3x3(inputs, inner, stride, dilations[0], groups)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = conv3x3(inner, outputs, 1, dilations[1], groups)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(self.joined(x, x, out))


class Bottleneck(Block):
    """y = φ(s(x) + N(W₃ ∗ φ(N(W₂ ∗ φ(N(W₁ ∗ x)))))): 1×1 to few channels, 3×3 there, 1×1 to four times as many.

    Arguments as of `Block`: 32 groups with a base width of 4 make a ResNeXt, a base width of 128 a wide ResNet. The
    stride is in the 3×3 convolution, as in the usual checkpoints; in the paper it is in the first 1×1, which then never
    sees three of four pixels.
    """

    expansion = 4

    def lay(self, inputs: int, inner: int, outputs: int, stride: int, dilations: tuple[int, int], groups: int) -> None:
        self.conv1 = conv1x1(inputs, inner)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = conv3x3(inner, inner, stride, dilations[0], groups)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = conv1x1(inner, outputs)
        self.bn3 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(self.joined(x, x, out))


class PreBasicBlock(Block):
    """y = s + W₂ ∗ φ(N(W₁ ∗ a)) with a = φ(N(x)): nothing but sums from block to block. Arguments as of `Block`.

    Where the shape changes, s starts from a.
    """

    preactivates = True

    def lay(self, inputs: int, inner: int, outputs: int, stride: int, dilations: tuple[int, int], groups: int) -> None:
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv3x3(inputs, inner, stride, dilations[0], groups)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = conv3x3(inner, outputs, 1, dilations[1], groups)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu(self.bn1(x))
        out = self.conv1(activated)
        out = self.conv2(self.relu(self.bn2(out)))
        return self.joined(x, activated, out)


class PreBottleneck(Block):
    """y = s + W₃ ∗ φ(N(W₂ ∗ φ(N(W₁ ∗ a)))) with a = φ(N(x)): 1×1, 3×3, 1×1. Arguments as of `Block`.

    Where the shape changes, s starts from a.
    """

    expansion = 4
    preactivates = True

    def lay(self, inputs: int, inner: int, outputs: int, stride: int, dilations: tuple[int, int], groups: int) -> None:
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv1x1(inputs, inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = conv3x3(inner, inner, stride, dilations[0], groups)
        self.bn3 = nn.BatchNorm2d(inner)
        self.conv3 = conv1x1(inner, outputs)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu(self.bn1(x))
        out = self.conv1(activated)
        out = self.conv2(self.relu(self.bn2(out)))
        out = self.conv3(self.relu(self.bn3(out)))
        return self.joined(x, activated, out)


class ZeroPadded(nn.Module):
    """Every `stride`-th pixel, and channels of zeros: a shortcut that learns nothing.

    Half of the zeros come before the channels of x, half after, as in the usual checkpoints.

    Shapes: (batch, channels, height, width) → (batch, channels + more, height / stride, width / stride), rounded up.
    """

    def __init__(self, more: int, stride: int) -> None:
        super().__init__()
        self.before, self.after, self.stride = more // 2, more - more // 2, stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def downsampled(inputs: int, outputs: int, stride: int, shortcut: Shortcut, *, norm: bool) -> nn.Module | None:
    """s where F changes the shape, else None: a 1×1 convolution, with batch norm if `norm`, or zeros as channels."""
    if shortcut == "none" or (stride == 1 and inputs == outputs):
        return None
    if shortcut == "zeros":
        return ZeroPadded(outputs - inputs, stride)
    projection = conv1x1(inputs, outputs, stride)
    return nn.Sequential(projection, nn.BatchNorm2d(outputs)) if norm else nn.Sequential(projection)


def stage(
    block: type[Block],
    inputs: int,
    planes: int,
    count: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    entry: int = 1,
    groups: int = 1,
    base_width: int = 64,
    shortcut: Shortcut = "projection",
) -> nn.Sequential:
    """`count` blocks of the same width in a row, the first of which changes the shape.

    To keep the size of its images, a stage of stride 2 becomes one of stride 1 whose convolutions are dilated twice as
    much as those of the stage before. But its first 3×3 convolution is dilated like these (`entry`), since it finds its
    neighbours where the stage before has left them. Then both give the same at every other pixel.

    Args:
        block: kind of block.
        inputs: channels that come in.
        planes: as of `Block`; what goes out has planes · block.expansion channels.
        count: blocks.
        stride, entry: stride and dilation of the first 3×3 convolution.
        dilation: of the other ones.
        groups, base_width, shortcut: as of `Block`.
    """
    outputs = planes * block.expansion
    shared = {"groups": groups, "base_width": base_width}
    first = block(inputs, planes, stride=stride, dilation=dilation, entry=entry, shortcut=shortcut, **shared)
    rest = [block(outputs, planes, dilation=dilation, shortcut=shortcut, **shared) for _ in range(count - 1)]
    return nn.Sequential(first, *rest)


def closing(block: type[Block], channels: int) -> nn.Module:
    """What comes after the last block: N and φ, where the blocks begin with theirs and so do not end with them."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()) if block.preactivates else nn.Identity()


def refuse_dead(name: str, shortcut: Shortcut, *, zero_gain: bool) -> None:
    """A block without shortcut whose last gain is 0 returns nothing, and learns nothing."""
    if shortcut == "none" and zero_gain:
        raise UserError(f"{name} with zero_gain and without shortcuts", "one of them", "set model.zero_gain=false")


def initialise_residual(net: nn.Module, *, zero_gain: bool = False) -> None:
    """Draw convolutions from N(0, 2 / n_out), with n_out = outputs · kernel, so that gradients keep their variance.

    Args:
        net: what holds the convolutions and blocks.
        zero_gain: the last batch norm of each block begins with gain 0, so that F = 0 and the block is its shortcut.

    Source: He, Zhang, Ren and Sun 2015, Delving deep into rectifiers; Goyal et al. 2017, Accurate, large minibatch SGD.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if zero_gain and isinstance(module, Block):
            nn.init.zeros_(last_norm(module).weight)


def last_norm(block: Block) -> nn.BatchNorm2d:
    """The batch norm without whose gain (and shift) F = 0."""
    return [layer for layer in block.children() if isinstance(layer, nn.BatchNorm2d)][-1]


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    kind = Sampled if stride > 1 and inputs < NARROW else nn.Conv2d
    return kind(inputs, outputs, 1, stride, bias=False)


class Sampled(nn.Conv2d):
    """A 1×1 convolution of every s-th pixel, taken before it: the same sum.

    torch 2.13's own, in float32 and channels last, writes where it must not with few channels.
    """

    def forward(self, input: Tensor) -> Tensor:
        rows, columns = self.stride
        return functional.conv2d(input[:, :, ::rows, ::columns], self.weight)


def conv3x3(inputs: int, outputs: int, stride: int = 1, dilation: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, groups, bias=False)
