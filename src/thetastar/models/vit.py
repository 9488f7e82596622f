"""The Vision Transformer: an image as a row of patches, each a token, among them one that speaks for all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.positions import moves, sinusoidal
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import Standardise, head, known_target, only_input
from thetastar.layers.patches import ConvStem, Patch, PatchEmbed, PatchModel, chosen_patch
from thetastar.layers.transformer import Block, depths
from thetastar.protocols import Schema
from thetastar.registry import BelowOne, Count

__all__ = ["vit_base", "vit_huge", "vit_hybrid", "vit_large", "vit_small", "vit_tiny"]

DEVIATION = 0.02  # of weights before the first step, for tokens of NARROWEST numbers and more
NARROWEST = 192  # of the published widths
Positions = Literal["learned", "sinusoidal"]


class VisionTransformer(PatchModel):
    """z₀ = [t; x₁E; …; x_nE] + p, then blocks z ← z + Attention(N(z)), z ← z + Mlp(N(z)); features N(z)[0].

    Images of other sizes are taken too, such as small crops: p is interpolated between the places of the grid, and what
    lies beyond the last whole patch is left out.

    Args:
        schema: images of a size that the patch divides.
        patch: side of a patch in pixels; "auto" is 16 for large images and smaller for small ones, and is said.
        positions: p, learned for every place, or waves of the row and of the column; null leaves places out.
        width: of a token, a multiple of `heads`; null is the variant's own.
        depth: blocks; null is the variant's own.
        heads: of the attention; null is the variant's own, or one for 64 numbers of another width.
        dropout: share dropped in training after the positions and in both parts of a block, in [0, 1).
        stochastic_depth: share of examples that skip the last block's parts in training, in [0, 1); earlier blocks are
            skipped in proportion to their depth.

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: Dosovitskiy et al. 2021, An image is worth 16x16 words: transformers for image recognition at scale.
    """

    size: ClassVar[tuple[int, int, int]]  # width, depth, heads
    tokens: ClassVar[int] = 1  # in front of the patches
    stem: ClassVar[type[PatchEmbed | ConvStem]] = PatchEmbed
    companions: ClassVar[Mapping[str, Any]] = {"algorithm": {"name": "adamw", "weight_decay": 0.05}}

    def __init__(
        self,
        schema: Schema,
        *,
        patch: Patch = "auto",
        positions: Positions | None = "learned",
        width: Count | None = None,
        depth: Count | None = None,
        heads: Count | None = None,
        dropout: BelowOne = 0.0,
        stochastic_depth: BelowOne = 0.0,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        field = only_input(schema, name)
        if schema.target is not None:
            known_target(schema, name)
        self.patch, self.grid, self.said = chosen_patch(patch, field, name, powers=self.stem is ConvStem)
        self.width, depth, heads = self.sizes(width, depth, heads)
        count = self.tokens + math.prod(self.grid)
        self.standardise = Standardise(field)
        self.patch_embed = self.stem(field.shape[0], self.patch, self.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.width))
        self.pos_embed: Tensor | None
        if positions == "learned":
            self.pos_embed = nn.Parameter(truncated_normal(torch.empty(1, count, self.width), self.width))
        else:
            waves = sinusoidal(self.grid, self.width, self.tokens) if positions else None
            self.register_buffer("pos_embed", waves, persistent=False)
        self.pos_drop = Dropout(dropout)
        shares = depths(stochastic_depth, depth)
        self.blocks = nn.Sequential(*(Block(self.width, heads, dropout=dropout, skipped=share) for share in shares))
        self.norm = nn.LayerNorm(self.width, 1e-6)
        self.answer(schema)
        self.apply(self.initialise)

    def answer(self, schema: Schema) -> None:
        """Make what turns tokens into answers."""
        self.head = head(self.width, schema)

    def sizes(self, width: int | None, depth: int | None, heads: int | None) -> tuple[int, int, int]:
        """The variant's own, where none are asked for."""
        own_width, own_depth, own_heads = self.size
        heads = heads or (own_heads if width in (None, own_width) else max(1, (width or own_width) // 64))
        width = width or own_width
        if width % heads or width % 4:
            raise UserError(
                f"{type(self).__name__} with width {width} and {heads} heads",
                "a width that the heads divide, and 4",
                f"set model.width={math.lcm(heads, 4) * max(1, round(width / math.lcm(heads, 4)))}",
            )
        return width, depth or own_depth, heads

    @classmethod
    def example(cls) -> dict[str, Any]:
        model = {"name": cls.__name__, "patch": 4, "width": 16, "depth": 2, "heads": 2}
        return {"data": "bars", "model": model, "algorithm": {"name": "adamw", "lr": 0.01}}

    def initialise(self, module: nn.Module) -> None:
        """Dense layers from the truncated normal distribution, with biases of 0; convolutions as they are."""
        if isinstance(module, nn.Linear):
            truncated_normal(module.weight, self.width)
            nn.init.zeros_(module.bias)

    def embedded(self, x: Tensor) -> Tensor:
        """z₀: tokens in front, then patches, at their places."""
        down, across = (side // self.patch for side in x.shape[-2:])
        x = x[..., : down * self.patch, : across * self.patch]
        patches = self.patch_embed(self.standardise(x))  # (batch, patches, width)
        front = self.front().expand(len(x), -1, -1).to(patches.dtype)
        z = torch.cat([front, patches], 1)
        if self.pos_embed is None:
            return self.pos_drop(z)
        if (down, across) == self.grid:
            return self.pos_drop(z + self.pos_embed)
        return self.pos_drop(z + moves(self.tokens, self.grid, (down, across), z.device) @ self.pos_embed)

    def front(self) -> Tensor:
        """(1, tokens, width)"""
        return self.cls_token

    def encoded(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        z = self.embedded(x)
        if kept is not None:
            front, patches = z[:, : self.tokens], z[:, self.tokens :]
            z = torch.cat([front, patches.gather(1, kept[..., None].expand(-1, -1, self.width))], 1)
        return self.norm(self.blocks(z))

    def answered(self, z: Tensor) -> Tensor:
        """(batch, tokens + patches, width) of `encoded` → (batch, outputs)."""
        return self.head(z[:, 0])

    def features(self, x: Tensor) -> Tensor:
        return self.encoded(x)[:, 0]


def truncated_normal(weight: Tensor, width: int) -> Tensor:
    """w ~ N(0, σ²), drawn again beyond two deviations, in place; σ = 0.02, for narrow tokens 0.02 · 192 / width.

    Blocks of narrow tokens add next to nothing with 0.02: three blocks of width 48 came to 50% on digits in 8 epochs
    with it, to 78% with 0.05 and to 87% with 0.1.
    """
    deviation = DEVIATION * max(1.0, NARROWEST / width)
    return nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)


class vit_tiny(VisionTransformer):
    """ViT-Ti: 12 blocks of width 192 with 3 heads. 5,717,416 parameters at 224×224, 1,000 classes, patches of 16.

    Source: Touvron et al. 2021, Training data-efficient image transformers and distillation through attention.
    """

    size = (192, 12, 3)


class vit_small(VisionTransformer):
    """ViT-S: 12 blocks of width 384 with 6 heads. 22,050,664 parameters at 224×224 in 1,000 classes, patches of 16.

    Source: Touvron et al. 2021, Training data-efficient image transformers and distillation through attention.
    """

    size = (384, 12, 6)


class vit_base(VisionTransformer):
    """ViT-B: 12 blocks of width 768 with 12 heads. 86,567,656 parameters at 224×224, 1,000 classes, patches of 16."""

    size = (768, 12, 12)


class vit_large(VisionTransformer):
    """ViT-L: 24 blocks of width 1024 with 16 heads. 304,326,632 parameters at 224×224, 1,000 classes, patches of 16."""

    size = (1024, 24, 16)


class vit_huge(VisionTransformer):
    """ViT-H: 32 blocks of width 1,280 with 16 heads of 80. 632,045,800 parameters with patches of 14, as published."""

    size = (1280, 32, 16)


class vit_hybrid(VisionTransformer):
    """ViT-S with a convolutional stem: 3×3 convolutions of stride 2 cut the patches, for the price of one block.

    `patch` is a power of two.

    Source: Xiao, Singh, Mintun, Darrell, Dollár and Girshick 2021, Early convolutions help transformers see better.
    """

    size = (384, 11, 6)
    stem = ConvStem
