"""What nets that answer for every pixel share: their ends, resampling, mirroring and the side head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from thetastar.errors import UserError
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import only_input
from thetastar.protocols import Field, Schema

TOY = {"name": "shapes", "rows": 40, "size": 16, "batch_size": 8}  # what the models' examples train on


def image_and_classes(schema: Schema, model: str) -> tuple[Field, int]:
    """The field of the images, and how many classes a pixel of their masks may have."""
    field, target = only_input(schema, model), schema.target
    if field.kind != "image":
        raise UserError(f"{model} on {field.kind} inputs", "images with masks", "choose mlp")
    if target is None or target.kind != "mask":
        got = f"{model} with {target.kind} targets" if target else f"{model} without a target"
        raise UserError(got, "a mask for each image", "choose cnn, or name a target of masks")
    if target.shape != field.shape[1:]:
        image, mask = ("×".join(map(str, shape)) for shape in (field.shape[1:], target.shape))
        raise UserError(
            f"{model} on {image} images with {mask} masks", "masks of the images' size", "resize them alike"
        )
    return field, schema.outputs


def resized(z: Tensor, like: Tensor, *, corners: bool = False) -> Tensor:
    """Bilinear interpolation of z onto the pixels of `like`.

    Args:
        corners: whether the centres of the corner pixels are mapped onto one another, or their outer corners.

    Shapes: (batch, channels, h, w), (batch, …, height, width) → (batch, channels, height, width).
    """
    return functional.interpolate(z, like.shape[-2:], mode="bilinear", align_corners=corners)


def mirrored(x: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """x continued by its mirror images beyond its edges, which are not repeated; as often as the margins need.

    Args:
        rows, columns: pixels to add before and after.

    Shapes: (batch, channels, height, width) → (batch, channels, height + rows, width + columns).
    """
    for axis, (before, after) in ((2, rows), (3, columns)):
        if before or after:
            last = x.shape[axis] - 1
            place = torch.arange(-before, last + 1 + after, device=x.device) % max(2 * last, 1)
            x = x.index_select(axis, torch.minimum(place, 2 * last - place))  # there and back: a triangular wave
    return x


class PooledNorm(nn.BatchNorm2d):
    """Batch norm after global pooling: where a batch of one image leaves one number a channel, by running moments.

    A number less its own mean is 0, whatever it was.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.numel() == input.shape[1]:
            moments = self.running_mean, self.running_var
            return functional.batch_norm(input, *moments, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(input)


def normalised(before: int, after: int, size: int = 1, dilation: int = 1) -> list[nn.Module]:
    """Convolution that keeps the grid, batch norm, ReLU."""
    convolution = nn.Conv2d(before, after, size, padding=dilation * (size // 2), dilation=dilation, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU()]


def convolutional_head(before: int, classes: int) -> nn.Sequential:
    """3×3 to a quarter of the channels, dropout of a tenth, 1×1 to the classes.

    Source: Long, Shelhamer and Darrell 2015, Fully convolutional networks for semantic segmentation (the idea); Zhao,
    Shi, Qi, Wang and Jia 2017, Pyramid scene parsing network (as auxiliary head).
    """
    return nn.Sequential(*normalised(before, before // 4, 3), Dropout(0.1), nn.Conv2d(before // 4, classes, 1))
