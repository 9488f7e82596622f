"""The two ends of every model: raw inputs come in, the user's units go out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from thetastar.errors import UserError
from thetastar.functional.losses import full
from thetastar.functional.moments import varies
from thetastar.protocols import Field, Schema


class Standardise(nn.Module):
    """x ↦ (x − μ) / σ with the training split's moments, per channel or entry; identity where the field has none.

    Being the first layer of f, it lets attacks, corruptions and serving speak in the user's units.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.active = bool(field.mean)
        shape = (-1, 1, 1) if field.kind == "image" else (-1,)
        mean = torch.tensor(field.mean or (0.0,), dtype=torch.float32)
        std = torch.tensor(field.std or (1.0,), dtype=torch.float32)
        self.register_buffer("mean", mean.view(shape))
        self.register_buffer("scale", torch.where(varies(mean, std), 1.0 / std, torch.ones_like(std)).view(shape))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.scale if self.active else x


class Units(nn.Module):
    """z ↦ μ + σ z: standard units back into the target's; drops the last axis for a scalar target."""

    mean: Tensor
    std: Tensor

    def __init__(self, target: Field) -> None:
        super().__init__()
        self.scalar = target.shape == ()
        self.register_buffer("mean", torch.tensor(target.mean or (0.0,), dtype=torch.float32))
        self.register_buffer("std", torch.tensor(target.std or (1.0,), dtype=torch.float32))

    def forward(self, z: Tensor) -> Tensor:
        out = self.mean + self.std * full(z)
        return out.squeeze(-1) if self.scalar else out


def head(width: int, schema: Schema) -> nn.Module:
    """The last layer: logits for categories, the target's own units for numbers, nothing without a target."""
    if schema.target is None:
        return nn.Identity()
    if schema.target.kind == "mask":
        got = "a model that answers once an example, with masks as targets"
        raise UserError(got, "an answer for every pixel", "choose unet, or another model of segmentation")
    linear = nn.Linear(width, schema.outputs)
    return nn.Sequential(linear, Units(schema.target)) if schema.target.kind == "number" else linear


def only_input(schema: Schema, name: str) -> Field:
    """The one input field of a model or method that takes a single tensor."""
    if isinstance(schema.input, dict):
        raise UserError(
            f"{name} takes one input, these data have several: {', '.join(schema.input)}",
            "one input",
            "use model wide_deep, or leave the other columns out with data.drop",
        )
    return schema.input


def only_image(schema: Schema, model: str) -> Field:
    """The images of a model that takes nothing else, and has one answer for each of them."""
    field = only_input(schema, model)
    if field.kind != "image":
        raise UserError(f"{model} on {field.kind} inputs", "images", "choose mlp")
    if schema.target is not None and schema.target.kind == "mask":
        raise UserError(f"{model} with masks as targets", "one answer an image", "choose a model of segmentation")
    return field


def known_target(schema: Schema, model: str) -> Field:
    """The target field of a model that answers in classes, labels or numbers."""
    if schema.target is None:
        raise UserError(f"{model} without a target", "a target", "name one with --target")
    if schema.target.kind not in ("category", "categories", "number"):
        raise UserError(
            f"{model} with {schema.target.kind} targets", "classes, labels or numbers", "choose another model"
        )
    return schema.target


def flat_size(field: Field) -> int:
    """Entries of one example."""
    return math.prod(field.shape)
