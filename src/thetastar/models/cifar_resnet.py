"""Deep, narrow residual nets for small images, and the same nets without shortcuts."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from thetastar.layers.ends import Standardise, head, only_image
from thetastar.layers.residual import (
    BasicBlock,
    Block,
    PreBasicBlock,
    PreBottleneck,
    Shortcut,
    closing,
    initialise_residual,
    refuse_dead,
    stage,
)
from thetastar.protocols import Model, Schema
from thetastar.registry import Count

__all__ = [
    "plain20",
    "plain56",
    "preresnet20",
    "preresnet110",
    "preresnet164",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "wide_resnet28",
]


class CifarResNet(Model):
    """conv 3×3 → N → φ → three stages of blocks → mean over places → linear.

    The second and third stage halve height and width and double the channels. N is batch norm, φ = max(0, ·). With n
    blocks a stage there are 6n + 2 layers (9n + 2 of bottlenecks). Parameters are counted on colour images in ten
    classes.

    Args:
        schema: images of any size.
        width: channels of the stem.
        widening: channels of the first stage, as a multiple of `width`; null is the variant's own.
        blocks: n, in each of the three stages; null is the variant's own.
        shortcut: of a block that changes the shape: "zeros" as new channels, or a "projection" by a 1×1 convolution;
            "none" takes every block's shortcut away, which leaves the plain net; "auto" is the variant's own.
        zero_gain: each block begins as its shortcut, by a gain of 0 in its last N.

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition, section 4.2.
    """

    keys: ClassVar[dict[str, str]] = {"head.": "fc."}
    block: ClassVar[type[Block]] = BasicBlock
    published: ClassVar[int]
    widened: ClassVar[int] = 1
    skip: ClassVar[Shortcut] = "zeros"

    def __init__(
        self,
        schema: Schema,
        *,
        width: Count = 16,
        widening: Count | None = None,
        blocks: Count | None = None,
        shortcut: Shortcut | Literal["auto"] = "auto",
        zero_gain: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        field = only_image(schema, name)
        kind: Shortcut = self.skip if shortcut == "auto" else shortcut
        refuse_dead(name, kind, zero_gain=zero_gain)
        self.standardise = Standardise(field)
        self.conv1 = nn.Conv2d(field.shape[0], width, 3, 1, 1, bias=False)
        # blocks that begin with N and φ would only repeat the stem's
        self.bn1 = nn.Identity() if self.block.preactivates else nn.BatchNorm2d(width)
        self.relu = nn.Identity() if self.block.preactivates else nn.ReLU(inplace=True)
        planes, count, expansion = width * (widening or self.widened), blocks or self.published, self.block.expansion
        self.layer1 = stage(self.block, width, planes, count, shortcut=kind)
        self.layer2 = stage(self.block, planes * expansion, 2 * planes, count, stride=2, shortcut=kind)
        self.layer3 = stage(self.block, 2 * planes * expansion, 4 * planes, count, stride=2, shortcut=kind)
        self.width = 4 * planes * expansion
        self.closing = closing(self.block, self.width)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        initialise_residual(self, zero_gain=zero_gain)
        self.head = head(self.width, schema)

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "bars", "model": {"name": cls.__name__, "width": 4, "widening": 1, "blocks": 1}}

    def features(self, x: Tensor) -> Tensor:
        h = self.relu(self.bn1(self.conv1(self.standardise(x))))
        h = self.layer3(self.layer2(self.layer1(h)))
        return self.avgpool(self.closing(h)).flatten(1)


class resnet20(CifarResNet):
    """Residual net of 20 narrow layers for small images; 269,722 parameters (272,474 with projections)."""

    published = 3


class resnet32(CifarResNet):
    """Residual net of 32 narrow layers for small images; 464,154 parameters."""

    published = 5


class resnet44(CifarResNet):
    """Residual net of 44 narrow layers for small images; 658,586 parameters."""

    published = 7


class resnet56(CifarResNet):
    """Residual net of 56 narrow layers for small images; 853,018 parameters (855,770 with projections)."""

    published = 9


class resnet110(CifarResNet):
    """Residual net of 110 narrow layers for small images; 1,727,962 parameters (1,730,714 with projections)."""

    published = 18


class plain20(CifarResNet):
    """The twin of resnet20 without shortcuts; 269,722 parameters."""

    published, skip = 3, "none"


class plain56(CifarResNet):
    """The twin of resnet56 without shortcuts, which trains worse for being deep; 853,018 parameters."""

    published, skip = 9, "none"


class preresnet20(CifarResNet):
    """Residual net of 20 narrow layers whose blocks begin with their normalisation; 272,282 parameters.

    Source: He, Zhang, Ren and Sun 2016, Identity mappings in deep residual networks.
    """

    block, published, skip = PreBasicBlock, 3, "projection"


class preresnet110(CifarResNet):
    """Residual net of 110 narrow layers whose blocks begin with their normalisation; 1,730,522 parameters.

    Source: He, Zhang, Ren and Sun 2016, Identity mappings in deep residual networks.
    """

    block, published, skip = PreBasicBlock, 18, "projection"


class preresnet164(CifarResNet):
    """Residual net of 164 layers, in bottlenecks that begin with their normalisation; 1,703,258 parameters.

    Source: He, Zhang, Ren and Sun 2016, Identity mappings in deep residual networks.
    """

    block, published, skip = PreBottleneck, 18, "projection"


class wide_resnet28(CifarResNet):
    """Residual net of 28 layers, ten times as wide; 36,479,194 parameters (1,467,610 with widening=2).

    The blocks begin with their normalisation; WRN-28-10 of the paper, without its dropout.

    Source: Zagoruyko and Komodakis 2016, Wide residual networks.
    """

    block, published, widened, skip = PreBasicBlock, 4, 10, "projection"
