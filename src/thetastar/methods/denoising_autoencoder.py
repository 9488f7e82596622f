"""The denoising autoencoder: say what was there before parts of it were lost."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from thetastar.functional.losses import full
from thetastar.functional.moments import moments
from thetastar.layers.decoding import GridDecoder
from thetastar.layers.ends import flat_size
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema
from thetastar.registry import Fraction, NonNegative

__all__ = ["denoising_autoencoder"]


class denoising_autoencoder(Pretext):
    """L = E ‖g(f(x̃)) − x‖² / entries, x̃ the corrupted x, g affine; x and x̃ in standard deviations of the train split.

    "masking" forces a share of the entries, drawn anew every time, to their mean; of an image whole pixels. "gaussian"
    adds N(0, σ²). Without corruption f may learn to copy; with it, to fill in a part it must know what parts go
    together. Linear f and gaussian noise on data of covariance Σ have the solution g∘f = U_k Λ_k (Λ_k + σ²)^{-1} U_kᵀ
    with the k largest eigenvalues of Σ = U Λ Uᵀ, k the width of f: principal components, shrunk.

    "denoising_error" in the trace is the loss over that of answering the mean, 1 for who knows nothing.

    Args:
        corruption: which of the two.
        share: of the entries that masking forces to the mean, in [0, 1].
        noise: σ, in standard deviations of an entry.

    Shapes: (batch, …) → features (batch, width), or a vector a place from models of segmentation.

    Source: Vincent, Larochelle, Bengio and Manzagol 2008, Extracting and composing robust features with denoising
    autoencoders.
    """

    kinds = frozenset({"image", "vector"})
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        corruption: Literal["masking", "gaussian"] = "masking",
        share: Fraction = 0.25,
        noise: NonNegative = 0.5,
    ) -> None:
        super().__init__()
        self.corruption, self.share, self.noise = corruption, share, noise

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        mean, std = moments(field)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        spatial = schema.target is not None and schema.target.kind == "mask"
        self.decoder = (
            GridDecoder(f.width, field.shape[0], (field.shape[1], field.shape[2]))
            if spatial
            else nn.Linear(f.width, flat_size(field))
        )

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        clean = (batch["input"] - self.mean) / self.std
        found = self.restored(f, self.corrupted(clean))
        loss = (found - clean).square().mean()
        return loss, Aux(log={"denoising_error": loss.detach() / clean.square().mean()})

    def corrupted(self, clean: Tensor) -> Tensor:
        """x̃, in standard units: of entries or pixels the whole number nearest to the share is masked."""
        if self.corruption == "gaussian":
            return clean + self.noise * torch.randn_like(clean)
        places = clean[:, :1] if clean.ndim == 4 else clean
        rank = torch.rand(places.shape, device=clean.device).flatten(1).argsort(1).argsort(1)  # in a random order
        return clean * (rank >= round(self.share * rank.shape[1])).view(places.shape)

    def restored(self, f: Model, corrupted: Tensor) -> Tensor:
        """g(f(x̃)), in standard units."""
        return full(self.decoder(f.features(self.mean + self.std * corrupted))).view(corrupted.shape)

    def pictures(self, f: Model, x: Tensor) -> dict[str, Tensor]:
        if x.ndim != 4:
            return {}
        corrupted = self.corrupted((x - self.mean) / self.std)
        restored = self.restored(f, corrupted)
        return {
            "original": x,
            "corrupted": self.mean + self.std * corrupted,
            "restored": self.mean + self.std * restored,
        }
