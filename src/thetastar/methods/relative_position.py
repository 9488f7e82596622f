"""Relative position: learn features by telling where one patch lies beside another."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.losses import full
from thetastar.functional.patches import cut
from thetastar.layers.crops import fitting, smallest
from thetastar.layers.projection import features_of, projector
from thetastar.methods.pretext import Pretext
from thetastar.protocols import Aux, Batch, Clock, Field, Model, Schema
from thetastar.registry import Count, Whole

__all__ = ["relative_position"]

AROUND = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if (down, across) != (0, 0)]
REMAINS = 0.01  # deviation of the noise in dropped channels, over that of the channel that stays


class relative_position(Pretext):
    """L = −log p(k | f(a), f(b)): b is the k-th of the eight neighbours of the patch a, row by row.

    Who knows which part of a thing is which knows where they belong. Shortcuts are closed: lines that run on from patch
    to patch by the gap and the jitter, the lens's colour fringes by dropping two of three colour channels of either
    patch for faint noise, and places in the image by drawing a where all eight neighbours would fit. Nets that pool
    globally see patches as they are, others see them enlarged to the size of the images. "position_accuracy" is traced,
    1/8 by chance.

    Args:
        patch: side in pixels; null is the largest of which nine fit with their gaps, 7 in 32×32 images.
        gap: pixels between neighbours; null is half of `patch`, as in the paper.
        jitter: pixels by which b moves down or up and across, at most; null is a tenth of `patch` but 1 at least, for
            patches from 4×4 on.
        hidden: units between the features of both patches and the answer.

    Shapes: (batch, channels, height, width) → features (batch, width).

    Source: Doersch, Gupta and Efros 2015, Unsupervised visual representation learning by context prediction.
    """

    around: Tensor
    room: Tensor  # places for the first patch, down and across

    def __init__(
        self, *, patch: Count | None = None, gap: Whole | None = None, jitter: Whole | None = None, hidden: Count = 512
    ) -> None:
        super().__init__()
        self.patch, self.gap, self.jitter, self.hidden = patch, gap, jitter, hidden

    def build(self, f: Model, field: Field, schema: Schema) -> None:
        _, *size = field.shape
        self.size, self.least = (size[0], size[1]), smallest(f, schema)
        patch = self.patch or max((side for side in range(1, min(size)) if self.extent(side) <= min(size)), default=1)
        if patch < 2 or self.extent(patch) > min(size):
            got = f"relative_position on {size[0]}×{size[1]} images: nine patches of {patch} take {self.extent(patch)}"
            raise UserError(got, "larger images, or smaller patches and gaps", "set method.patch and method.gap")
        self.side, (self.between, self.moved) = patch, self.distances(patch)
        self.said = [f"patches of {patch}×{patch}, {self.between} apart, moved by up to {self.moved}"]
        self.register_buffer("around", torch.tensor(AROUND), persistent=False)
        self.register_buffer("room", torch.tensor(self.size) - self.extent(patch) + 1, persistent=False)
        width = features_of(f, schema, "relative_position")
        self.answer = projector(2 * width, self.hidden, len(AROUND), norm=False)

    def distances(self, patch: int) -> tuple[int, int]:
        """Gap and jitter beside patches of this side."""
        gap = max(1, patch // 2) if self.gap is None else self.gap
        jitter = (max(1, patch // 10) if patch > 3 else 0) if self.jitter is None else self.jitter
        return gap, jitter

    def extent(self, patch: int) -> int:
        """Pixels of a side that a patch and its neighbours reach over."""
        gap, jitter = self.distances(patch)
        return 3 * patch + 2 * (gap + jitter)

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        pairs, which = self.pairs(batch["input"])
        features = f.features(fitting(dropped(pairs.flatten(0, 1)), self.least, self.size))
        logits = full(self.answer(features.view(len(which), -1)))  # both side by side
        right = (logits.detach().argmax(1) == which).float().mean()
        return F.cross_entropy(logits, which), Aux(log={"position_accuracy": right})

    def pairs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A patch of every image beside one of its neighbours, and which.

        Shapes: (batch, channels, height, width) → (batch, 2, channels, side, side), (batch,).
        """
        which = torch.randint(len(AROUND), (len(x),), device=x.device)
        step = self.around[which] * (self.side + self.between)
        jitter = torch.randint(-self.moved, self.moved + 1, (len(x), 2), device=x.device)
        first = self.side + self.between + self.moved + (torch.rand(len(x), 2, device=x.device) * self.room).long()
        return cut(x, torch.stack([first, first + step + jitter], 1), self.side), which


def dropped(patches: Tensor) -> Tensor:
    """Two of three channels as noise around their mean, drawn for every patch; patches in grey as they are.

    Shapes: (patches, channels, side, side) → the same.
    """
    if patches.shape[1] != 3:
        return patches
    stays = torch.randint(3, (len(patches), 1, 1, 1), device=patches.device)
    kept = torch.arange(3, device=patches.device).view(1, 3, 1, 1) == stays
    deviation = patches.std((2, 3), keepdim=True).gather(1, stays)
    noise = patches.mean((2, 3), keepdim=True) + REMAINS * deviation * torch.randn_like(patches)
    return torch.where(kept, patches, noise)
