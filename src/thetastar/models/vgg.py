"""VGG: nothing but 3×3 convolutions, and more of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import Standardise, head, only_image
from thetastar.layers.initialising import initialise
from thetastar.layers.remaining import remaining
from thetastar.layers.stem import Stem, chosen_stem
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["vgg11", "vgg13", "vgg16", "vgg19"]

PLACES = 7  # along each axis, that the published dense layers see
FULL, SMALL = 4096, 512  # units of each dense layer


class VGG(Model):
    """Stages of 3×3 convolutions with ReLU, a max-pooling by 2 after each; then two dense layers and a linear one.

    Channels double from stage to stage, up to eight times those of the first. Two 3×3 convolutions see as much as one
    of 5×5, with 18/25 of its weights and a ReLU more.

    Args:
        schema: images of at least 2^stages pixels a side, 32 for the published five stages.
        norm: normalisation over the batch between each convolution and its ReLU, which the paper did not have yet.
        dense: "full" has 4,096 units a layer, on 7×7 places; "small" has 512, on their mean; "auto" takes the small
            ones for images under 96 pixels, of which five poolings leave 1×1 or 2×2 places.
        blocks: convolutions of each stage; null takes those of the variant.
        width: channels of the first stage.
        hidden: units of each dense layer; null goes by `dense`.
        dropout: share of dense units dropped in training, in [0, 1).

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: Simonyan and Zisserman 2015, Very deep convolutional networks for large-scale image recognition; Ioffe and
    Szegedy 2015, Batch normalization; Liu and Deng 2015, Very deep convolutional neural network based image
    classification using small training sample size (512 units for small images).
    """

    keys: ClassVar[Mapping[str, str]] = {"convolutions.": "features.", "head.": "classifier.6."}
    published: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        schema: Schema,
        *,
        norm: Literal["batch"] | None = None,
        dense: Stem = "auto",
        blocks: tuple[Count, ...] | None = None,
        width: Count = 64,
        hidden: Count | None = None,
        dropout: BelowOne = 0.5,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        field = only_image(schema, name)
        blocks = self.published if blocks is None else blocks
        self.standardise = Standardise(field)
        layers: list[nn.Module] = []
        before = field.shape[0]
        for stage, count in enumerate(blocks):
            after = width * min(2**stage, 8)
            for _ in range(count):
                normalised = [nn.BatchNorm2d(after)] if norm else []
                layers += [nn.Conv2d(before, after, 3, padding=1), *normalised, nn.ReLU()]
                before = after
            layers.append(nn.MaxPool2d(2))
        self.convolutions = nn.Sequential(*layers)  # numbered as in the common checkpoints
        remaining(layers, field, name, "enlarge them, set model.blocks to fewer stages, or choose cnn")
        full, mean = f"{hidden or FULL:,} units a layer on 7×7 places", f"{hidden or SMALL:,} units a layer on the mean"
        small, self.said = chosen_stem(dense, field, full, mean, part="dense")
        places = 1 if small else PLACES
        hidden = hidden or (SMALL if small else FULL)
        self.avgpool = nn.AdaptiveAvgPool2d(places)
        self.classifier = nn.Sequential(
            nn.Linear(before * places**2, hidden),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            Dropout(dropout),
        )
        self.width = hidden
        self.head = head(hidden, schema)
        initialise(nn.ModuleList([self.convolutions, self.classifier]), self.head, "auto", "relu")

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"data": "bars", "model": {"name": cls.__name__, "blocks": [1, 2], "width": 8, "hidden": 16}}

    def features(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.convolutions(self.standardise(x))).flatten(1))


class vgg11(VGG):
    """VGG of eight convolutions: 132,863,336 parameters on 1,000 classes, 132,868,840 with batch norm."""

    published = (1, 1, 2, 2, 2)


class vgg13(VGG):
    """VGG of ten convolutions: 133,047,848 parameters on 1,000 classes, 133,053,736 with batch norm."""

    published = (2, 2, 2, 2, 2)


class vgg16(VGG):
    """VGG of thirteen convolutions: 138,357,544 parameters on 1,000 classes, 138,365,992 with batch norm."""

    published = (2, 2, 3, 3, 3)


class vgg19(VGG):
    """VGG of sixteen convolutions: 143,667,240 parameters on 1,000 classes, 143,678,248 with batch norm."""

    published = (2, 2, 4, 4, 4)
