"""Convex combinations of examples, and the shares by which to combine them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.protocols import Field, Schema


def beta_shares(count: int, alpha: float, like: Tensor) -> Tensor:
    """(count,) draws from Beta(α, α) on the device of `like`, α > 0, by two Gamma draws."""
    gammas = torch._standard_gamma(like.new_full((2, count), alpha, dtype=torch.float32))  # pyright: ignore
    total = gammas.sum(0)
    # for small α both may be 0 in float32: then the draw is one of the ends
    return torch.where(total > 0, gammas[0] / total.clamp_min(1e-38), (torch.rand_like(total) < 0.5).float())


def blend(x: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """share · x + (1 − share) · other, one share an example."""
    share = share.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
    return other + share * (x - other)


def mixable(schema: Schema, who: str) -> Field:
    """The target of a method that mixes targets."""
    if schema.target is None:
        raise UserError(f"{who} without a target", "a target to mix", "choose a method that needs none")
    if schema.target.kind == "mask":
        raise UserError(f"{who} with masks", "one answer an example", "choose supervised, with data.augment")
    return schema.target


def distributions(target: Tensor, field: Field) -> Tensor:
    """Classes (batch,) as one-hot rows (batch, classes); labels and numbers, which can be averaged, as they are."""
    return F.one_hot(target, int(field.classes or 0)).float() if field.kind == "category" else target


def rectangles(count: int, height: int, width: int, share: Tensor) -> Tensor:
    """(count, 1, height, width) masks, 1 inside a rectangle of about `share` of the area.

    Its sides are in proportion to the image's and its centre is uniform, so it may be cut at the edge.
    """
    side = share.clamp(0, 1).sqrt().view(-1, 1)  # of the image's sides
    centre = torch.rand(2, count, 1, device=share.device)
    rows = torch.arange(height, device=share.device) + 0.5
    columns = torch.arange(width, device=share.device) + 0.5
    inside_rows = (rows - centre[0] * height).abs() < side * height / 2  # (count, height)
    inside_columns = (columns - centre[1] * width).abs() < side * width / 2  # (count, width)
    return (inside_rows[:, None, :, None] & inside_columns[:, None, None, :]).float()
