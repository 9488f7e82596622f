"""Rotation: learn features by telling which way up an image is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.losses import full
from thetastar.layers.projection import features_of
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema

__all__ = ["rotation"]


class rotation(Pretext):
    """L = −(1/4) Σ_r log p(r | f(x turned by 90° r)), r = 0, 1, 2, 3: each image stands in the batch in all four turns.

    To know which way up an image is, one must know what is on it. Turns by 90° leave no trace of interpolation that
    would tell them apart. An image that looks the same when turned has no answer: it adds its log 4 or log 2 to the
    loss and nothing to the gradient, so the traced "rotation_accuracy" need not reach 1.

    Shapes: (batch, channels, side, side) → features (batch, width).

    Source: Gidaris, Singh and Komodakis 2018, Unsupervised representation learning by predicting image rotations.
    """

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        _, height, width = field.shape
        if height != width:
            got = f"rotation on {height}×{width} images: turned by 90° they have another shape"
            raise UserError(got, "square images", "resize the images (data.size)")
        self.answer = nn.Linear(features_of(f, schema, "rotation"), 4)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        turned, turns = all_turns(batch["input"])
        logits = full(self.answer(f.features(turned)))
        right = (logits.detach().argmax(1) == turns).float().mean()
        return F.cross_entropy(logits, turns), Aux(log={"rotation_accuracy": right})


def all_turns(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every image as it is, then every image turned by 90°, 180° and 270° against the clock, and the turns.

    Shapes: (batch, channels, side, side) → (4 · batch, channels, side, side), (4 · batch,).
    """
    turned = torch.cat([torch.rot90(x, turn, (2, 3)) for turn in range(4)])
    return turned, torch.arange(4, device=x.device).repeat_interleave(len(x))
