"""A linear model of the directions of an image's edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.functional.hog import hog, hog_size
from thetastar.functional.losses import full
from thetastar.layers.ends import head, known_target, only_input
from thetastar.protocols import Model, Schema
from thetastar.registry import Count

__all__ = ["hog_linear"]


class hog_linear(Model):
    """f(x) = W φ(x) + b, φ the histograms of oriented gradients of the image, as used before features were learnt.

    φ does not change when brightness is shifted or, but for its small constants, scaled; small shifts of an edge change
    it little.

    Args:
        schema: images and any target.
        cell: side of a cell in pixels; null is a seventh of the shorter side, from 2 to 8.
        orientations: bins of the angle, of 180 degrees.
        block: side of a block in cells.

    Shapes: (batch, channels, height, width) → (batch, outputs).

    Source: Dalal and Triggs 2005, Histograms of oriented gradients for human detection.
    """

    companions: ClassVar[Mapping[str, Any]] = {"algorithm": {"name": "adamw", "lr": 0.01}}

    def __init__(self, schema: Schema, *, cell: Count | None = None, orientations: Count = 9, block: Count = 2) -> None:
        super().__init__()
        field = only_input(schema, "hog_linear")
        known_target(schema, "hog_linear")
        if field.kind != "image":
            raise UserError(f"hog_linear on {field.kind} inputs", "images", "choose softmax or linear")
        _, height, width = field.shape
        self.cell = cell or min(max(round(min(height, width) / 7), 2), 8)
        self.orientations, self.block = orientations, block
        self.width = hog_size(height, width, self.cell, orientations, block)
        if not self.width:
            got = f"images of {height}×{width} with blocks of {block}×{block} cells of {self.cell} pixels"
            raise UserError(got, "at least one block in the image", "lower model.cell or model.block")
        self.head = head(self.width, schema)

    def features(self, x: Tensor) -> Tensor:
        """Every block has length 1; times the root of its entries, so that their mean square is 1."""
        with torch.autocast(x.device.type, enabled=False):
            size = self.block**2 * self.orientations
            return hog(full(x), self.cell, self.orientations, self.block) * size**0.5
