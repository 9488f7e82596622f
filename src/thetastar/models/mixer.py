"""The MLP-Mixer: perceptrons across the patches of an image, then perceptrons across the channels of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from thetastar.functional.initialising import lecun_normal
from thetastar.layers.dropout import StochasticDepth
from thetastar.layers.ends import Standardise, head, known_target, only_input
from thetastar.layers.patches import Patch, PatchEmbed, chosen_patch
from thetastar.layers.transformer import Mlp, depths
from thetastar.protocols import Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["mixer_base", "mixer_small"]


class MixerBlock(nn.Module):
    """X ← X + Mlp(N(X)ᵀ)ᵀ across patches; X ← X + Mlp(N(X)) across channels.

    Shapes: (batch, patches, width) → (batch, patches, width).
    """

    def __init__(self, patches: int, width: int, skipped: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, 1e-6)
        self.mlp_tokens = Mlp(patches, width // 2)
        self.norm2 = nn.LayerNorm(width, 1e-6)
        self.mlp_channels = Mlp(width, 4 * width)
        self.drop_path = StochasticDepth(skipped)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2))
        return x + self.drop_path(self.mlp_channels(self.norm2(x)))


class MlpMixer(Model):
    """Patches x_pE, blocks that mix across patches and across channels, then the mean of N(X) over the patches.

    Args:
        schema: images of a size that the patch divides.
        patch: side of a patch in pixels; "auto" is 16 for large images and smaller for small ones, and is said.
        width: channels of a patch; half as many units mix patches, four times as many mix channels. Null: the
            variant's own.
        depth: blocks; null is the variant's own.
        stochastic_depth: share of examples that skip the last block's parts in training, in [0, 1); earlier blocks are
            skipped in proportion to their depth.

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: Tolstikhin et al. 2021, MLP-Mixer: an all-MLP architecture for vision.
    """

    size: ClassVar[tuple[int, int]]  # width, depth
    companions: ClassVar[Mapping[str, Any]] = {"algorithm": {"name": "adamw", "weight_decay": 0.05}}
    keys: ClassVar[Mapping[str, str]] = {"patch_embed.": "stem."}

    def __init__(
        self,
        schema: Schema,
        *,
        patch: Patch = "auto",
        width: Count | None = None,
        depth: Count | None = None,
        stochastic_depth: BelowOne = 0.0,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        field = only_input(schema, name)
        if schema.target is not None:
            known_target(schema, name)
        side, grid, self.said = chosen_patch(patch, field, name)
        self.width = width or self.size[0]
        self.standardise = Standardise(field)
        self.patch_embed = PatchEmbed(field.shape[0], side, self.width)
        shares = depths(stochastic_depth, depth or self.size[1])
        self.blocks = nn.Sequential(*(MixerBlock(math.prod(grid), self.width, share) for share in shares))
        self.norm = nn.LayerNorm(self.width, 1e-6)
        self.head = head(self.width, schema)
        self.apply(initialise)

    @classmethod
    def example(cls) -> dict[str, Any]:
        model = {"name": cls.__name__, "patch": 4, "width": 16, "depth": 2}
        return {"data": "bars", "model": model, "algorithm": {"name": "adamw", "lr": 0.01}}

    def features(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(self.patch_embed(self.standardise(x)))).mean(1)


def initialise(module: nn.Module) -> None:
    """Weights w ~ N(0, 1 / n_in), biases 0."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        module.weight.data.copy_(lecun_normal(module.weight.shape))
        assert module.bias is not None
        nn.init.zeros_(module.bias)


class mixer_small(MlpMixer):
    """Mixer-S: 8 blocks of width 512. 18,528,264 parameters at 224×224, 1,000 classes, patches of 16."""

    size = (512, 8)


class mixer_base(MlpMixer):
    """Mixer-B: 12 blocks of width 768. 59,880,472 parameters at 224×224, 1,000 classes, patches of 16."""

    size = (768, 12)
