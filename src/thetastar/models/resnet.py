"""Deep residual nets for photographs."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from thetastar.layers.ends import Standardise, head, only_image
from thetastar.layers.residual import (
    BasicBlock,
    Block,
    Bottleneck,
    PreBasicBlock,
    PreBottleneck,
    Shortcut,
    initialise_residual,
    refuse_dead,
    stage,
)
from thetastar.layers.stem import Stem, chosen_stem
from thetastar.protocols import Model, Schema
from thetastar.registry import Count

__all__ = [
    "preresnet18",
    "preresnet50",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50",
    "wide_resnet50",
]


class ResNet(Model):
    """conv 7×7 / 2 → N → φ → max-pool 3×3 / 2 → four stages of blocks → mean over places → linear.

    Each stage after the first halves height and width and doubles the channels. N is batch norm, φ = max(0, ·).
    Parameters are counted on colour images in 1000 classes.

    Args:
        schema: images of any size.
        stem: "full" is a 7×7 convolution of stride 2 and a max-pooling, "small" one 3×3 convolution of stride 1;
            "auto" is small below 96 pixels.
        width: channels of the stem.
        blocks: in each of the four stages; null are the variant's own.
        shortcut: of a block that changes the shape: a 1×1 convolution with its N, or "zeros" as new channels; "none"
            takes every block's shortcut away, which leaves the plain net.
        zero_gain: each block begins as its shortcut, by a gain of 0 in its last N.

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition.
    """

    keys: ClassVar[dict[str, str]] = {"head.": "fc."}
    block: ClassVar[type[Block]]
    published: ClassVar[tuple[int, int, int, int]]
    groups: ClassVar[int] = 1
    base_width: ClassVar[int] = 64

    def __init__(
        self,
        schema: Schema,
        *,
        stem: Stem = "auto",
        width: Count = 64,
        blocks: tuple[Count, Count, Count, Count] | None = None,
        shortcut: Shortcut = "projection",
        zero_gain: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        field = only_image(schema, name)
        refuse_dead(name, shortcut, zero_gain=zero_gain)
        small, self.said = chosen_stem(
            stem, field, "a 7×7 convolution of stride 2 and a max-pooling", "one 3×3 convolution"
        )
        self.standardise = Standardise(field)
        size, stride = (3, 1) if small else (7, 2)
        self.conv1 = nn.Conv2d(field.shape[0], width, size, stride, size // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)

        def layer(number: int) -> nn.Sequential:
            """Stage 0 … 3."""
            planes, count = width * 2**number, (blocks or self.published)[number]
            inputs = planes // 2 * self.block.expansion if number else width
            form = {"groups": self.groups, "base_width": self.base_width}
            return stage(self.block, inputs, planes, count, stride=2 if number else 1, shortcut=shortcut, **form)

        self.layer1, self.layer2, self.layer3, self.layer4 = map(layer, range(4))
        self.width = 8 * width * self.block.expansion
        self.closing = (
            nn.Sequential(nn.BatchNorm2d(self.width), nn.ReLU()) if self.block.preactivates else nn.Identity()
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        initialise_residual(self, zero_gain=zero_gain)
        self.head = head(self.width, schema)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "bars", "model": {"name": cls.__name__, "width": 4, "blocks": [1, 1, 1, 1]}}

    def features(self, x: Tensor) -> Tensor:
        h = self.maxpool(self.relu(self.bn1(self.conv1(self.standardise(x)))))
        h = self.layer4(self.layer3(self.layer2(self.layer1(h))))
        return self.avgpool(self.closing(h)).flatten(1)


class resnet18(ResNet):
    """Residual net of 18 layers: two blocks of two 3×3 convolutions a stage; 11,689,512 parameters."""

    block, published = BasicBlock, (2, 2, 2, 2)


class resnet34(ResNet):
    """Residual net of 34 layers, in blocks of two 3×3 convolutions; 21,797,672 parameters."""

    block, published = BasicBlock, (3, 4, 6, 3)


class resnet50(ResNet):
    """Residual net of 50 layers, in bottlenecks of 1×1, 3×3, 1×1; 25,557,032 parameters."""

    block, published = Bottleneck, (3, 4, 6, 3)


class resnet101(ResNet):
    """Residual net of 101 layers, in bottlenecks of 1×1, 3×3, 1×1; 44,549,160 parameters."""

    block, published = Bottleneck, (3, 4, 23, 3)


class resnet152(ResNet):
    """Residual net of 152 layers, in bottlenecks of 1×1, 3×3, 1×1; 60,192,808 parameters."""

    block, published = Bottleneck, (3, 8, 36, 3)


class wide_resnet50(ResNet):
    """Residual net of 50 layers whose bottlenecks are twice as wide inside; 68,883,240 parameters.

    Source: Zagoruyko and Komodakis 2016, Wide residual networks.
    """

    block, published, base_width = Bottleneck, (3, 4, 6, 3), 128


class resnext50(ResNet):
    """Residual net of 50 layers whose 3×3 convolutions are in 32 groups, of 4 channels at first; 25,028,904 parameters.

    Source: Xie, Girshick, Dollár, Tu and He 2017, Aggregated residual transformations for deep neural networks.
    """

    block, published, groups, base_width = Bottleneck, (3, 4, 6, 3), 32, 4


class preresnet18(ResNet):
    """Residual net of 18 layers whose blocks begin with their normalisation; 11,687,848 parameters.

    Source: He, Zhang, Ren and Sun 2016, Identity mappings in deep residual networks.
    """

    block, published = PreBasicBlock, (2, 2, 2, 2)


class preresnet50(ResNet):
    """Residual net of 50 layers whose bottlenecks begin with their normalisation; 25,549,480 parameters.

    Source: He, Zhang, Ren and Sun 2016, Identity mappings in deep residual networks.
    """

    block, published = PreBottleneck, (3, 4, 6, 3)
