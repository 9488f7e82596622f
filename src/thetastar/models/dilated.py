"""A classifier made to answer for every pixel: its last strides become dilations, its end a few convolutions."""

from __future__ import annotations

from abc import abstractmethod
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

__all__ = ["deeplabv3_resnet50", "fcn_resnet50"]

RATES = (12, 24, 36)  # dilations of the pyramid, for a grid of an eighth of the image's


class DilatedNet(Model):
    """A residual trunk whose last stages are dilated in place of strided, convolutions, and logits made fine again.

    Args:
        schema: images of any size, with a mask for each.
        stem: "full" is a 7×7 convolution of stride 2 and a max-pooling, "small" one 3×3 convolution of stride 1 in
            their place; "auto" is small below 96 pixels.
        width: channels of the stem.
        blocks: of each of the four stages; null takes those of the variant.
        dilated: how many of the last stages keep the grid: of 224×224 images, 2 leaves 28×28 places, 0 leaves 7×7.
        auxiliary: weight of the loss of a second head, on the last stage but one, while training; 0 leaves it out.

    Shapes: (batch, channels, height, width) → (batch, classes, height, width).
    """

    published: ClassVar[tuple[int, int, int, int]] = (3, 4, 6, 3)

    def __init__(
        self,
        schema: Schema,
        *,
        stem: Stem = "auto",
        width: Count = 64,
        blocks: tuple[Count, Count, Count, Count] | None = None,
        dilated: Dilated = 2,
        auxiliary: NonNegative = 0.4,
    ) -> None:
        super().__init__()
        field, classes = image_and_classes(schema, type(self).__name__)
        small, self.said = chosen_stem(stem, field, *STEMS)
        self.standardise = Standardise(field)
        self.backbone = Trunk(field.shape[0], width, blocks or self.published, small=small, dilated=dilated)
        self.classifier, self.width = self.end(32 * width)
        self.head = nn.Conv2d(self.width, classes, 1)
        self.auxiliary = auxiliary
        self.aux_classifier = convolutional_head(16 * width, classes) if auxiliary else None

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": TOY, "model": {"name": cls.__name__, "width": 2, "blocks": [1, 1, 1, 1]}}

    @abstractmethod
    def end(self, channels: int) -> tuple[nn.Sequential, int]:
        """What stands between the trunk and the 1×1 convolution to classes, and how many channels it returns."""

    def features(self, x: Tensor) -> Tensor:
        return self.classifier(self.backbone(self.standardise(x))[1])

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.head(self.features(x)), x)

    def heads(self, x: Tensor) -> Sequence[tuple[float, Tensor]]:
        if self.aux_classifier is None or not self.training:
            return [(1.0, self(x))]
        third, fourth = self.backbone(self.standardise(x))
        answer = resized(self.head(self.classifier(fourth)), x)
        return [(1.0, answer), (self.auxiliary, resized(self.aux_classifier(third), x))]


class fcn_resnet50(DilatedNet):
    """Fully convolutional net on a dilated ResNet-50: 3×3 convolution, 1×1 to classes.

    32,957,013 parameters from colour images to 21 classes, 35,322,218 with the auxiliary head.

    Source: Long, Shelhamer and Darrell 2015, Fully convolutional networks for semantic segmentation; Yu and Koltun
    2016, Multi-scale context aggregation by dilated convolutions.
    """

    keys: ClassVar[Mapping[str, str]] = {"head.": "classifier.4."}

    def end(self, channels: int) -> tuple[nn.Sequential, int]:
        return nn.Sequential(*normalised(channels, channels // 4, 3), Dropout(0.1)), channels // 4


class deeplabv3_resnet50(DilatedNet):
    """DeepLabv3 on a dilated ResNet-50: 3×3 convolutions of several dilations side by side, and the mean of the image.

    39,638,869 parameters from colour images to 21 classes, 42,004,074 with the auxiliary head.

    Source: Chen, Papandreou, Schroff and Adam 2017, Rethinking atrous convolution for semantic image segmentation.
    """

    keys: ClassVar[Mapping[str, str]] = {"head.": "classifier.4."}

    def end(self, channels: int) -> tuple[nn.Sequential, int]:
        after = channels // 8
        return nn.Sequential(ASPP(channels, after), *normalised(after, after, 3)), after


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1×1, 3×3 at each rate, and the mean over the image, joined by 1×1.

    Shapes: (batch, before, h, w) → (batch, after, h, w).
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        mean = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(before, after, 1, bias=False), PooledNorm(after), nn.ReLU()]
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*normalised(before, after)),
                *(nn.Sequential(*normalised(before, after, 3, rate)) for rate in RATES),
                nn.Sequential(*mean),
            ]
        )
        self.project = nn.Sequential(*normalised(len(self.convs) * after, after), Dropout(0.5))

    def forward(self, h: Tensor) -> Tensor:
        return self.project(torch.cat([resized(branch(h), h) for branch in self.convs], 1))
