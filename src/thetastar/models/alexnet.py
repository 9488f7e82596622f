"""AlexNet, with which convolutional nets took over image recognition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import Standardise, head, only_image
from thetastar.layers.initialising import initialise
from thetastar.layers.normalising import LocalResponse
from thetastar.layers.remaining import remaining
from thetastar.layers.stem import Stem, chosen_stem
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["alexnet"]

PLACES = 6  # along each axis, that the dense layers see at most
CHANNELS = {1: (64, 192, 384, 256, 256), 2: (96, 256, 384, 384, 256)}  # of the five convolutions, by towers


class alexnet(Model):
    """AlexNet: conv 11×11/4 → pool → conv 5×5 → pool → three of 3×3 → pool → two dense layers → linear, all with ReLU.

    Poolings are 3×3 with stride 2, so neighbours overlap. On 1,000 classes one tower has 61,100,840 parameters, and
    two have the published 60,965,224: the second, fourth and fifth convolution see half of the channels each.
    `towers=2, local_response=true` on 227×227 images is the net of 2012.

    Args:
        schema: images; of at least 8×8 with the small stem, with the full one 63×63, or 67×67 for two towers.
        towers: 1, as in the paper of 2014, or 2, as in that of 2012.
        local_response: channels compete with their neighbours after the first two convolutions.
        stem: "full" is 11×11 with stride 4; "small" is 5×5 with stride 1, and poolings that round up; "auto" takes the
            small one for images under 96 pixels.
        channels: of the five convolutions; null takes those of the paper.
        hidden: units of each dense layer.
        dropout: share of their inputs dropped in training, in [0, 1).

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks;
    Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks (one tower).
    """

    keys: ClassVar[Mapping[str, str]] = {"convolutions.": "features.", "head.": "classifier.6."}

    def __init__(
        self,
        schema: Schema,
        *,
        towers: Literal[1, 2] = 1,
        local_response: bool = False,
        stem: Stem = "auto",
        channels: tuple[Count, Count, Count, Count, Count] | None = None,
        hidden: Count = 4096,
        dropout: BelowOne = 0.5,
    ) -> None:
        super().__init__()
        field = only_image(schema, "alexnet")
        small, self.said = chosen_stem(stem, field, "convolution 11×11, stride 4", "convolution 5×5, stride 1")
        channels = channels or CHANNELS[towers]
        if any(count % towers for count in channels):
            raise UserError(f"alexnet with channels {channels} in two towers", "even numbers", "set model.towers=1")
        self.standardise = Standardise(field)
        self.convolutions = convolutions(
            field.shape[0], channels, towers=towers, small=small, local_response=local_response
        )
        do = "enlarge them, or choose cnn or mlp" if small else "set model.stem=small"
        left = remaining(self.convolutions.modules(), field, "alexnet", do)
        # fewer places than the paper's are repeated with the published stem, as its checkpoints do; else they are kept
        rows, columns = (min(side, PLACES) if small else PLACES for side in left)
        self.avgpool = nn.AdaptiveAvgPool2d((rows, columns))
        self.classifier = nn.Sequential(
            Dropout(dropout),
            nn.Linear(channels[-1] * rows * columns, hidden),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.width = hidden
        self.head = head(hidden, schema)
        initialise(nn.ModuleList([self.convolutions, self.classifier]), self.head, "auto", "relu")

    @classmethod
    def example(cls) -> dict[str, Any]:
        model = {"name": "alexnet", "towers": 2, "local_response": True, "channels": [4, 8, 8, 8, 8], "hidden": 16}
        return {"data": "bars", "model": model}

    def features(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.convolutions(self.standardise(x))).flatten(1))


def convolutions(
    depth: int, channels: Sequence[int], *, towers: int, small: bool, local_response: bool
) -> nn.Sequential:
    """All up to the dense layers, numbered as in the common checkpoints."""
    c1, c2, c3, c4, c5 = channels
    # unpadded on 227 pixels in the paper of 2012, padded on 224 in that of 2014: both leave 55 places
    full = nn.Conv2d(depth, c1, 11, stride=4, padding=0 if towers == 2 else 2)
    return nn.Sequential(
        nn.Conv2d(depth, c1, 5, padding=2) if small else full,
        nn.ReLU(),
        pooling(small, local_response),
        nn.Conv2d(c1, c2, 5, padding=2, groups=towers),
        nn.ReLU(),
        pooling(small, local_response),
        nn.Conv2d(c2, c3, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(c3, c4, 3, padding=1, groups=towers),
        nn.ReLU(),
        nn.Conv2d(c4, c5, 3, padding=1, groups=towers),
        nn.ReLU(),
        pooling(small),
    )


def pooling(small: bool, local_response: bool = False) -> nn.Module:
    """Overlapping: 3×3, stride 2; after the competition of channels, if there is one."""
    pool = nn.MaxPool2d(3, stride=2, ceil_mode=small)
    return nn.Sequential(LocalResponse(), pool) if local_response else pool
