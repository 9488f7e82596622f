"""The masked autoencoder: learn features by saying what most of an image holds from the rest of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.losses import full
from thetastar.functional.moments import moments
from thetastar.functional.patches import from_patches, rows_of_patches
from thetastar.functional.positions import sinusoidal
from thetastar.layers.patches import ConvStem, PatchModel
from thetastar.layers.transformer import Block
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema
from thetastar.registry import BelowOne, Count

__all__ = ["masked_autoencoder"]

EPSILON = 1e-6  # added to the variance of a patch


class masked_autoencoder(Pretext):
    """L = mean over masked patches of ‖x̂_p − x_p‖² / entries, x̂ = g(f(visible patches)).

    f encodes the visible patches alone, at their places: with three of four masked it has a quarter of the tokens. The
    decoder g, a narrow transformer that is left behind afterwards, gets them among copies of one learnt token that
    stands for what is masked, all with their places. x_p is the patch in its own mean and deviation, or in those of the
    train split; pictures give a patch its own mean and deviation back. "reconstruction_error" in the trace is the loss
    over that of answering the mean, 1 for who knows nothing.

    Args:
        share: of the patches that is masked, in [0, 1); at least one patch stays.
        normalised: patches are told in their own mean and deviation.
        width: of the decoder's tokens, a multiple of 4 and of `heads`; null is half of f's, as that of ViT-L.
        depth: blocks of the decoder.
        heads: of the decoder's attention; null is one for 32 numbers.

    Shapes: (batch, channels, height, width) → features (batch, width).

    Source: He, Chen, Xie, Li, Dollár and Girshick 2022, Masked autoencoders are scalable vision learners.
    """

    companions: ClassVar[Mapping[str, Any]] = {**Pretext.companions, "model": "vit_tiny"}
    mean: Tensor
    std: Tensor
    places: Tensor

    def __init__(
        self,
        *,
        share: BelowOne = 0.75,
        normalised: bool = True,
        width: Count | None = None,
        depth: Count = 8,
        heads: Count | None = None,
    ) -> None:
        super().__init__()
        self.share, self.normalised = share, normalised
        self.width, self.depth, self.heads = width, depth, heads

    @classmethod
    def example(cls) -> dict[str, Any]:
        model = {"name": "vit_tiny", "patch": 2, "width": 16, "depth": 2, "heads": 2}
        return {"data": "bars", "model": model, "method": {"name": "masked_autoencoder", "width": 16, "depth": 1}}

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        if not isinstance(f, PatchModel):
            got = f"masked_autoencoder with {type(f).__name__}, which cannot leave patches out"
            raise UserError(got, "a transformer of patches", "choose vit_tiny or another vit")
        if isinstance(f.patch_embed, ConvStem):
            got = f"masked_autoencoder with {type(f).__name__}: its convolutions tell visible patches of masked ones"
            raise UserError(got, "patches that are embedded one by one", "choose vit_tiny or another vit")
        mean, std = moments(field)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.side, self.grid, self.front = f.patch, f.grid, f.tokens
        self.count = self.grid[0] * self.grid[1]
        self.visible = max(1, self.count - round(self.share * self.count))
        if self.visible == self.count:
            got = f"method.share={self.share:g} of {self.count} patches masks none"
            raise UserError(got, "a masked patch or more", "raise method.share, or lower model.patch")
        width = self.width or max(4, f.width // 8 * 4)
        heads = self.heads or max(1, width // 32)
        if width % heads or width % 4:
            raise UserError(f"method.width={width} with {heads} heads", "a width that the heads divide, and 4", "")
        self.embed = nn.Linear(f.width, width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(width))
        self.register_buffer("places", sinusoidal(self.grid, width, self.front), persistent=False)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(self.depth)), nn.LayerNorm(width, 1e-6))
        self.answer = nn.Linear(width, self.side**2 * field.shape[0])

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        kept, masked = self.drawn(batch["input"])
        target = self.told(self.patches(batch["input"]))
        found = self.decoded(f, batch["input"], kept)
        error = (found - target).square().mean(-1)  # (batch, patches)
        total = masked.sum()
        loss, blind = (error * masked).sum() / total, (target.square().mean(-1) * masked).sum() / total
        return loss, Aux(log={"reconstruction_error": loss.detach() / blind})

    def drawn(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Which patches are kept (batch, visible), and which masked, as 0 and 1 (batch, patches)."""
        order = torch.rand(len(x), self.count, device=x.device).argsort(1)
        return order[:, : self.visible], (order.argsort(1) >= self.visible).float()

    def decoded(self, f: Model, x: Tensor, kept: Tensor) -> Tensor:
        """x̂ of every patch, the visible ones too: (batch, patches, entries)."""
        assert isinstance(f, PatchModel)
        z = self.embed(f.encoded(x, kept))  # (batch, front + visible, width)
        front, visible = z.split([self.front, self.visible], 1)
        whole = self.mask_token.to(z.dtype).expand(len(x), self.count, -1)
        whole = whole.scatter(1, kept[..., None].expand_as(visible), visible)
        return full(self.answer(self.blocks(torch.cat([front, whole], 1) + self.places)))[:, self.front :]

    def patches(self, x: Tensor) -> Tensor:
        """In standard deviations of the train split: (batch, patches, entries)."""
        return rows_of_patches((x - self.mean) / self.std, self.side)

    def told(self, patches: Tensor) -> Tensor:
        """x_p, as the decoder is to tell it."""
        mean, deviation = own(patches)
        return (patches - mean) / deviation if self.normalised else patches

    def pictures(self, f: Model, x: Tensor) -> dict[str, Tensor]:
        kept, masked = self.drawn(x)
        patches, hidden = self.patches(x), masked[..., None].bool()
        found = self.decoded(f, x, kept)
        if self.normalised:
            mean, deviation = own(patches)
            found = mean + deviation * found
        shown = {"masked": patches.masked_fill(hidden, 0.0), "reconstructed": torch.where(hidden, found, patches)}
        as_images = {name: from_patches(rows, self.side, self.grid) for name, rows in shown.items()}
        return {"original": x, **{name: self.mean + self.std * image for name, image in as_images.items()}}


def own(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each patch: (batch, patches, 1) each."""
    variance, mean = torch.var_mean(patches, -1, keepdim=True)
    return mean, (variance + EPSILON).sqrt()
