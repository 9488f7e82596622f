"""From features back to images, for methods that reconstruct."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.protocols import Model, Schema

COARSEST = 4  # pixels of the longer side from which an image is built up


def decoder(f: Model, schema: Schema, channels: int, size: tuple[int, int], hidden: int) -> nn.Module:
    """What makes an image of `channels` and `size` out of the features of f, a vector an image or one a place."""
    if schema.target is not None and schema.target.kind == "mask":  # then features keep their places
        return GridDecoder(f.width, channels, size)
    return VectorDecoder(f.width, channels, size, hidden)


class GridDecoder(nn.Module):
    """One affine map at every place, bilinear to the size of the image.

    Shapes: (batch, width, h, w) → (batch, channels, *size).
    """

    def __init__(self, width: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.point = nn.Conv2d(width, channels, 1)

    def forward(self, h: Tensor) -> Tensor:
        out = self.point(h)
        return out if out.shape[2:] == self.size else F.interpolate(out, self.size, mode="bilinear")


class VectorDecoder(nn.Module):
    """Linear to a coarse grid, (φ → 4×4 up-convolution of stride 2) until the image is covered, φ → 3×3; φ = ReLU.

    Args:
        width: of the features.
        channels, size: of the image.
        hidden: channels of every grid between.

    Shapes: (batch, width) → (batch, channels, *size).

    Source: Pathak, Krähenbühl, Donahue, Darrell and Efros 2016, Context encoders: feature learning by inpainting.
    """

    def __init__(self, width: int, channels: int, size: tuple[int, int], hidden: int) -> None:
        super().__init__()
        doublings = max(0, math.ceil(math.log2(max(size) / COARSEST)))
        self.size = size
        self.coarse = hidden, *(-(-side // 2**doublings) for side in size)
        self.spread = nn.Linear(width, math.prod(self.coarse))
        up = [layer for _ in range(doublings) for layer in (nn.ReLU(), nn.ConvTranspose2d(hidden, hidden, 4, 2, 1))]
        self.up = nn.Sequential(*up, nn.ReLU(), nn.Conv2d(hidden, channels, 3, padding=1))

    def forward(self, h: Tensor) -> Tensor:
        height, width = self.size
        return self.up(self.spread(h).view(-1, *self.coarse))[..., :height, :width]
