"""PSPNet: every place is told what the scene is, in means over the image and its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import Standardise
from thetastar.layers.pixels import TOY, PooledNorm, convolutional_head, image_and_classes, normalised, resized
from thetastar.layers.stem import Stem, chosen_stem
from thetastar.layers.trunk import STEMS, Dilated, Trunk
from thetastar.protocols import Model, Schema
from thetastar.registry import Count, NonNegative

__all__ = ["pspnet_resnet50"]


class PSPNet(Model):
    """Dilated ResNet → pyramid pooling → 3×3 convolution → 1×1 to classes → bilinear to the image's size.

    Args:
        schema: images of any size, with a mask for each.
        stem: "full" is a 7×7 convolution of stride 2 and a max-pooling, "small" one 3×3 convolution of stride 1 in
            their place; "auto" is small below 96 pixels.
        deep_stem: three 3×3 convolutions in place of the stem's one, the last of 2 · width channels.
        width: channels of the stem.
        blocks: of each of the four stages; null takes those of the variant.
        dilated: how many of the last stages keep the grid: of 224×224 images, 2 leaves 28×28 places, 0 leaves 7×7.
        bins: the pyramid: parts of the image along each axis.
        auxiliary: weight of the loss of a second head, on the last stage but one, while training; 0 leaves it out.

    Shapes: (batch, channels, height, width) → (batch, classes, height, width).

    Source: Zhao, Shi, Qi, Wang and Jia 2017, Pyramid scene parsing network.
    """

    keys: ClassVar[Mapping[str, str]] = {
        "head.": "cls.4.",
        **{f"backbone.conv1.{layer}.": f"layer0.{layer}." for layer in (0, 1, 3, 4, 6)},
        "backbone.bn1.": "layer0.7.",
        **{f"backbone.layer{number}.": f"layer{number}." for number in (1, 2, 3, 4)},
    }
    published: ClassVar[tuple[int, int, int, int]]

    def __init__(
        self,
        schema: Schema,
        *,
        stem: Stem = "auto",
        deep_stem: bool = False,
        width: Count = 64,
        blocks: tuple[Count, Count, Count, Count] | None = None,
        dilated: Dilated = 2,
        bins: tuple[Count, ...] = (1, 2, 3, 6),
        auxiliary: NonNegative = 0.4,
    ) -> None:
        super().__init__()
        field, classes = image_and_classes(schema, type(self).__name__)
        small, self.said = chosen_stem(stem, field, *STEMS)
        form = {"small": small, "deep": deep_stem, "dilated": dilated}
        self.standardise = Standardise(field)
        # a stage's first block is dilated as the others, as published
        self.backbone = Trunk(field.shape[0], width, blocks or self.published, whole=True, **form)
        channels, self.width = 32 * width, 8 * width
        self.ppm = PyramidPooling(channels, channels // len(bins), bins)
        joined = channels + len(bins) * (channels // len(bins))
        self.cls = nn.Sequential(*normalised(joined, self.width, 3), Dropout(0.1))
        self.head = nn.Conv2d(self.width, classes, 1)
        self.auxiliary = auxiliary
        self.aux = convolutional_head(16 * width, classes) if auxiliary else None

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": TOY, "model": {"name": cls.__name__, "width": 2, "blocks": [1, 1, 1, 1]}}

    def features(self, x: Tensor) -> Tensor:
        return self.cls(self.ppm(self.backbone(self.standardise(x))[1]))

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.head(self.features(x)), x, corners=True)

    def heads(self, x: Tensor) -> Sequence[tuple[float, Tensor]]:
        if self.aux is None or not self.training:
            return [(1.0, self(x))]
        third, fourth = self.backbone(self.standardise(x))
        answer = resized(self.head(self.cls(self.ppm(fourth))), x, corners=True)
        return [(1.0, answer), (self.auxiliary, resized(self.aux(third), x, corners=True))]


class PyramidPooling(nn.Module):
    """h beside, for each count of bins, the means over bins × bins parts of the image, convolved 1×1 and made fine.

    Shapes: (batch, before, h, w) → (batch, before + len(bins) · after, h, w).
    """

    def __init__(self, before: int, after: int, bins: Sequence[int]) -> None:
        super().__init__()
        self.features = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(parts),
                nn.Conv2d(before, after, 1, bias=False),
                PooledNorm(after),
                nn.ReLU(),
            )
            for parts in bins
        )

    def forward(self, h: Tensor) -> Tensor:
        return torch.cat([h, *(resized(part(h), h, corners=True) for part in self.features)], 1)


class pspnet_resnet50(PSPNet):
    """PSPNet on a dilated ResNet-50.

    From colour images to 21 classes 46,592,597 parameters, 48,957,802 with the auxiliary head; 46,716,373 and
    49,081,578 with the deep stem of the published weights.
    """

    published = (3, 4, 6, 3)
