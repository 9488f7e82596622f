"""A residual net without its end, whose last stages look far without leaving a coarse grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from thetastar.layers.residual import Bottleneck, initialise_residual, stage

Dilated = Literal[0, 1, 2]
STEMS = "a 7×7 convolution of stride 2 and a max-pooling", "one 3×3 convolution"  # in words: full, small


class Trunk(nn.Module):
    """Stem and four stages of bottlenecks; the last `dilated` stages double the dilation instead of the stride.

    What a stage with dilation reads is what it would have read with stride, at four times as many places: at those
    that the stride would have kept it returns the same.

    Args:
        channels: of the images.
        width: channels of the stem, and of the inner convolutions of the first stage; each stage doubles them.
        blocks: in each stage.
        small: stem 3×3 on the grid of the image, in place of 7×7 with stride 2 and pooling by 2.
        deep: the stem has three 3×3 convolutions, the last of 2 · width channels.
        dilated: how many of the last stages keep the grid.
        whole: the first block of such a stage has the dilation of the others. Without it, it has that of the stage
            before, as its input has the neighbours of that stage; only then the values above are the same.

    Shapes: (batch, channels, height, width) → the last two stages, (batch, 16 · width, h, w) and
    (batch, 32 · width, h', w').

    Source: Yu, Koltun and Funkhouser 2017, Dilated residual networks; He, Zhang, Ren and Sun 2016, Deep residual
    learning for image recognition.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        blocks: Sequence[int],
        *,
        small: bool = False,
        deep: bool = False,
        dilated: Dilated = 2,
        whole: bool = False,
    ) -> None:
        super().__init__()
        inputs = 2 * width if deep else width
        self.conv1 = stem(channels, width, small=small, deep=deep)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        stages: list[nn.Sequential] = []
        last = 1
        for number, count in enumerate(blocks):
            keeps = number >= len(blocks) - dilated
            dilation = 2 * last if keeps else 1
            stages.append(
                stage(
                    Bottleneck,
                    inputs,
                    width * 2**number,
                    count,
                    stride=1 if keeps or number == 0 else 2,
                    dilation=dilation,
                    entry=dilation if whole else last,
                )
            )
            inputs, last = width * 2**number * Bottleneck.expansion, dilation
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        initialise_residual(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        third = self.layer3(self.layer2(self.layer1(h)))
        return third, self.layer4(third)


def stem(channels: int, width: int, *, small: bool, deep: bool) -> nn.Module:
    """The convolutions before the first batch norm."""
    stride = 1 if small else 2
    if not deep:
        size = 3 if small else 7
        return nn.Conv2d(channels, width, size, stride=stride, padding=size // 2, bias=False)
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
    )
