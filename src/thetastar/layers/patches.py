"""Images as rows of tokens: cut into patches, each of which becomes a vector."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.positions import Grid
from thetastar.protocols import Field, Model
from thetastar.registry import Count

Patch = Count | Literal["auto"]
PUBLISHED = 16  # pixels of a side
FEWEST = 7  # patches along the shorter side that a patch must leave, where the images allow it
MOST = 1024  # patches: beyond, attention among all of them is seldom meant


class PatchEmbed(nn.Module):
    """x_p ↦ W x_p + b for every patch of side P: a convolution with kernel and stride P.

    Shapes: (batch, channels, height, width) → (batch, patches, width), row by row.
    """

    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class ConvStem(nn.Module):
    """Halve the image log₂P times by (3×3 convolution of stride 2 → N → ReLU), then 1×1 to the width of a token.

    Channels double from step to step, up to `width` in the last: 48, 96, 192, 384 for patches of 16 and width 384.

    Shapes: (batch, channels, height, width) → (batch, patches, width), row by row.

    Source: Xiao, Singh, Mintun, Darrell, Dollár and Girshick 2021, Early convolutions help transformers see better.
    """

    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        steps = int(math.log2(patch))
        layers: list[nn.Module] = []
        for step in range(steps):
            inner = width // 2 ** (steps - 1 - step)
            convolution = nn.Conv2d(channels, inner, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(inner), nn.ReLU()]
            channels = inner
        self.proj = nn.Sequential(*layers, nn.Conv2d(channels, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class PatchModel(Model, ABC):
    """A model to which an image is a row of tokens: `tokens` of its own in front, then the patches row by row.

    Attributes:
        patch: side in pixels.
        grid: patches down and across.
    """

    tokens: ClassVar[int]
    patch: int
    grid: Grid
    patch_embed: PatchEmbed | ConvStem

    @abstractmethod
    def encoded(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """The tokens in front and all patches, or at their places those alone that `kept` (batch, kept) numbers.

        Shapes: (batch, channels, height, width) → (batch, tokens + kept, width).
        """


def chosen_patch(patch: Patch, field: Field, model: str, *, powers: bool = False) -> tuple[int, Grid, list[str]]:
    """The side of a patch, the grid of patches, and what to say where the images chose it.

    "auto" takes the largest side up to 16 that divides both sides of the image and leaves seven patches along the
    shorter one: 16 at 224×224, 8 at 64×64, 4 at 32×32 and 28×28; where none leaves as many, the smallest over 1.

    Args:
        patch: the one asked for, in pixels, or "auto".
        field: of the images.
        model: what messages call it.
        powers: take powers of two only.

    Raises:
        UserError: where a patch does not divide the image; it names the nearest sizes.
    """
    if field.kind != "image":
        raise UserError(f"{model} on {field.kind} inputs", "images", "choose mlp")
    _, height, width = field.shape
    sides = [side for side in range(1, PUBLISHED + 1) if not powers or side & (side - 1) == 0]
    dividing = [side for side in sides if height % side == 0 and width % side == 0]
    if patch == "auto":
        smallest = min((side for side in dividing if 1 < side < max(height, width)), default=1)
        side = max((side for side in dividing if min(height, width) // side >= FEWEST), default=1)
        side = max(side, smallest)
        if height * width // side**2 > MOST:
            raise UserError(
                f"{model} on {height}×{width} images: no patch of 2 to {PUBLISHED} divides them into {MOST:,} or fewer",
                nearest_sizes(height, width, PUBLISHED),
                "resize the images (data.size) or set model.patch",
            )
        grid = (height // side, width // side)
        published = "as published" if side == PUBLISHED else "not the published 16×16"
        line = f"patch: {side}×{side}, {published}, {grid[0]}×{grid[1]} of them in {height}×{width} images"
        return side, grid, [f"{line} (model.patch sets another)"]
    if powers and patch & (patch - 1):
        raise UserError(f"{model} with model.patch={patch}", "a power of two: each convolution halves the image", "")
    if height % patch or width % patch:
        fitting = [str(side) for side in dividing if side > 1 or len(dividing) == 1]
        raise UserError(
            f"{model}: patches of {patch}×{patch} do not divide {height}×{width} images",
            nearest_sizes(height, width, patch),
            f"resize the images (data.size), or choose model.patch of {', '.join(fitting)}",
        )
    return patch, (height // patch, width // patch), []


def nearest_sizes(height: int, width: int, patch: int) -> str:
    """'32×32 or 48×48': the sizes below and above that a patch divides."""
    below = (height // patch * patch, width // patch * patch)
    above = tuple(-(-side // patch) * patch for side in (height, width))
    return " or ".join(f"{down}×{across}" for down, across in dict.fromkeys((below, above)) if down and across)
