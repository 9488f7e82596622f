"""Small crops of an image beside its full views, and how an encoder of images takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.layers.frozen import scratch
from thetastar.protocols import Batch, Model, Schema

SHARES = (0.125, 0.25, 0.375, 0.5, 0.75)  # of an image's sides


@torch.no_grad()
def smallest(f: Model, schema: Schema) -> tuple[int, int] | None:
    """The smallest size that f takes of a few below that of the images, found by trying; None where it takes no other.

    Nets that pool globally and transformers that interpolate positions take many, those that flatten an image one.
    """
    if isinstance(schema.input, dict) or schema.input.kind != "image":
        return None
    channels, height, width = schema.input.shape
    was, device = f.training, next(f.parameters(), torch.empty(0)).device
    f.eval()
    try:
        for share in SHARES:
            size = (max(1, int(share * height)), max(1, int(share * width)))
            try:
                f.features(torch.zeros(1, channels, *size, device=device))
            except RuntimeError:  # what torch raises where shapes do not fit
                continue
            return size
    finally:
        f.train(was)
    return None


def features_of_views(f: Model, views: Sequence[Any], crops: Tensor | None, least: tuple[int, int] | None) -> Tensor:
    """f of two views and of crops, these resized to the size of the views where f takes no other.

    Moments of batch norm are those of the views, which is what f will be shown later: those of crops are not written.

    Args:
        f: the encoder.
        views: of the same examples.
        crops: of them; None is none.
        least: what `smallest` found.

    Shapes: each view (batch, …), crops (batch, crops, channels, h, w) → (batch, views + crops, width).
    """
    whole = torch.stack([f.features(x) for x in views], 1)
    if crops is None:
        return whole
    small = fitting(crops.flatten(0, 1), least, views[0].shape[-2:])
    with scratch(f):
        return torch.cat([whole, f.features(small).unflatten(0, crops.shape[:2])], 1)


def fitting(crops: Tensor, least: tuple[int, int] | None, size: Sequence[int]) -> Tensor:
    """Crops as they are where f takes them, else resized to the size of the images.

    Shapes: (crops, channels, h, w) → the same, or (crops, channels, *size).
    """
    if not too_small(crops, least):
        return crops
    return F.interpolate(crops, size=list(size), mode="bilinear", align_corners=False)


def too_small(crops: Tensor, least: tuple[int, int] | None) -> bool:
    """Whether f does not take crops of their size."""
    return least is None or crops.shape[-2] < least[0] or crops.shape[-1] < least[1]


def said_of(f: Model, batch: Batch, least: tuple[int, int] | None) -> list[str]:
    """What is done to the crops of a batch, where something is."""
    if "local" not in batch or not too_small(batch["local"], least):
        return []
    (height, width), (high, wide) = batch["input"].shape[-2:], batch["local"].shape[-2:]
    return [f"crops of {high}×{wide} are resized to {height}×{width}: {type(f).__name__} takes no images of their size"]
