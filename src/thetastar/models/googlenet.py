"""GoogLeNet: blocks of kernels of several sizes side by side, each behind a bottleneck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import Standardise, head, only_image
from thetastar.layers.initialising import initialise
from thetastar.layers.remaining import remaining
from thetastar.layers.stem import Stem, chosen_stem
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, NonNegative, Positive

__all__ = ["googlenet"]

UpTo2 = Annotated[int, Ge(1), Le(2)]
UpTo5 = Annotated[int, Ge(1), Le(5)]

# channels of the branches 1×1, 3×3 (bottleneck, kernel), 5×5 (bottleneck, kernel), pooling; table 1 of the paper
INCEPTION = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
AUXILIARY = {"inception4a": "aux1", "inception4d": "aux2"}  # the block → the head that reads its output


class googlenet(Model):
    """GoogLeNet: conv 7×7/2, pool, conv 1×1 and 3×3, pool, two inception blocks, pool, five, pool, two, mean, linear.

    With batch norm in place of local response norm, without auxiliary heads, on 1,000 classes: 7,005,832 parameters,
    or 6,624,904 in the widespread form of `five=3`. With auxiliary heads the risk is, in training alone,
    R(f) + λ R(aux₁) + λ R(aux₂); they read the outputs of the blocks 4a and 4d.

    Args:
        schema: images.
        five: kernel of the third branch: 5 as published; 3 as in the widespread checkpoints, whose last pooling is 2×2
            in place of 3×3 too.
        auxiliary: two more classifiers in the middle, which send gradients to the lower layers.
        auxiliary_weight: λ.
        stem: "full" is 7×7 with stride 2 and a pooling; "small" is 3×3 with stride 1 and none; "auto" takes the small
            one for images under 96 pixels.
        blocks: how many inception blocks of the two, five and two between the poolings to keep.
        width: all channels as a share of the published ones.
        dropout: share of the pooled features dropped in training, in [0, 1).

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: Szegedy, Liu, Jia et al. 2015, Going deeper with convolutions; Ioffe and Szegedy 2015, Batch normalization.
    """

    keys: ClassVar[Mapping[str, str]] = {"head.": "fc."}

    def __init__(
        self,
        schema: Schema,
        *,
        five: Literal[5, 3] = 5,
        auxiliary: bool = False,
        auxiliary_weight: NonNegative = 0.3,
        stem: Stem = "auto",
        blocks: tuple[UpTo2, UpTo5, UpTo2] = (2, 5, 2),
        width: Positive = 1.0,
        dropout: BelowOne = 0.2,
    ) -> None:
        super().__init__()
        field = only_image(schema, "googlenet")
        full, three = "convolution 7×7, stride 2, and pooling", "convolution 3×3, stride 1"
        small, self.said = chosen_stem(stem, field, full, three)
        c1, c2 = scaled((64, 192), width)
        self.standardise = Standardise(field)
        self.conv1 = BasicConv(field.shape[0], c1, 3 if small else 7, stride=1 if small else 2)
        self.maxpool1 = nn.Identity() if small else pooling(3)
        self.conv2 = BasicConv(c1, c1, 1)
        self.conv3 = BasicConv(c1, c2, 3)
        self.maxpool2 = pooling(3)
        self.maxpool3 = pooling(3)
        self.maxpool4 = pooling(3 if five == 5 else 2)
        do = "enlarge them, or choose cnn or mlp" if small else "set model.stem=small"
        remaining(self.modules(), field, "googlenet", do)
        self.order = [*block_names(3, blocks[0]), "maxpool3", *block_names(4, blocks[1]), "maxpool4"]
        self.order += block_names(5, blocks[2])
        self.auxiliary, self.auxiliary_weight = auxiliary, auxiliary_weight
        channels = c2
        for name in (name for name in self.order if name in INCEPTION):
            block = Inception(channels, scaled(INCEPTION[name], width), five)
            self.add_module(name, block)
            channels = block.channels
            if auxiliary and name in AUXILIARY:
                self.add_module(AUXILIARY[name], Auxiliary(channels, scaled((128, 1024), width), schema))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = Dropout(dropout)
        self.width = channels
        last = head(channels, schema)
        initialise(self, last, "auto", "relu")
        self.head = last

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {
            "data": "bars",
            "model": {"name": "googlenet", "auxiliary": True, "blocks": [1, 1, 1], "width": 0.05, "dropout": 0.0},
        }

    def features(self, x: Tensor) -> Tensor:
        return self.walked(x)[0]

    def heads(self, x: Tensor) -> Sequence[tuple[float, Tensor]]:
        if not (self.auxiliary and self.training):
            return super().heads(x)
        features, middle = self.walked(x)
        sides = [(self.auxiliary_weight, self.get_submodule(name)(h)) for name, h in middle.items()]
        return [(1.0, self.head(features)), *sides]

    def walked(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The features, and by the name of each auxiliary head what it reads."""
        h = self.maxpool1(self.conv1(self.standardise(x)))
        h = self.maxpool2(self.conv3(self.conv2(h)))
        middle: dict[str, Tensor] = {}
        for name in self.order:
            h = self.get_submodule(name)(h)
            if name in AUXILIARY:
                middle[AUXILIARY[name]] = h
        return self.dropout(self.avgpool(h).flatten(1)), middle


class Inception(nn.Module):
    """x ↦ [1×1(x), 3×3(1×1(x)), 5×5(1×1(x)), 1×1(pool(x))] side by side; every arrow has batch norm and ReLU.

    Shapes: (batch, inputs, height, width) → (batch, sum of the branches, height, width).
    """

    def __init__(self, inputs: int, channels: Sequence[int], five: int) -> None:
        super().__init__()
        one, reduce3, three, reduce5, widest, pooled = channels
        self.channels = one + three + widest + pooled
        self.branch1 = BasicConv(inputs, one, 1)
        self.branch2 = nn.Sequential(BasicConv(inputs, reduce3, 1), BasicConv(reduce3, three, 3))
        self.branch3 = nn.Sequential(BasicConv(inputs, reduce5, 1), BasicConv(reduce5, widest, five))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), BasicConv(inputs, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    """Mean over 4×4 parts → 1×1 → dense with dropout of 0.7 → an answer of its own.

    Shapes: (batch, inputs, height, width) → (batch, outputs).
    """

    def __init__(self, inputs: int, channels: Sequence[int], schema: Schema) -> None:
        super().__init__()
        reduced, hidden = channels
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.conv = BasicConv(inputs, reduced, 1)
        self.fc1 = nn.Linear(reduced * 16, hidden)
        self.relu = nn.ReLU()
        self.dropout = Dropout(0.7)
        self.fc2 = head(hidden, schema)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(self.avgpool(x)).flatten(1)
        return self.fc2(self.dropout(self.relu(self.fc1(h))))


class BasicConv(nn.Module):
    """Convolution that keeps the grid but for its stride, batch norm, ReLU.

    Shapes: (batch, inputs, height, width) → (batch, outputs, height / stride, width / stride), rounded up.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)  # as in the common checkpoints
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


def pooling(kernel: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)


def scaled(channels: Sequence[int], width: float) -> list[int]:
    return [max(round(count * width), 1) for count in channels]


def block_names(stage: int, count: int) -> list[str]:
    """(3, 2) → inception3a, inception3b."""
    return [f"inception{stage}{letter}" for letter in "abcde"[:count]]
