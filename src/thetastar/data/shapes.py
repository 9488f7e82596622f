"""Made-up pictures whose pixels are known."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from thetastar.data.arrays import arrays
from thetastar.functional.masks import VOID
from thetastar.protocols import Source
from thetastar.registry import Count, NonNegative

__all__ = ["shapes"]

NAMES = ("ground", "disc", "square", "triangle")
COLOURS = np.array([[0.45, 0.45, 0.45], [0.75, 0.4, 0.35], [0.35, 0.65, 0.4], [0.4, 0.45, 0.75]])


def shapes(*, rows: Count = 240, size: Annotated[int, Ge(8)] = 32, noise: NonNegative = 0.15, seed: int = 0) -> Source:
    """Coloured discs, squares and triangles on a grey ground: one or two an image, with a mask; their edges are void.

    A pixel's colour alone is a poor guide: shapes of a kind differ in colour, and noise lies over every pixel.

    Args:
        rows: examples.
        size: of the sides in pixels, ≥ 8.
        noise: standard deviation added to every channel of a pixel, and to the colour of a whole shape.
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    masks = np.stack([_mask(size, [1 + (row + k) % 3 for k in range(1 + row % 2)], random) for row in range(rows)])
    tints = COLOURS + noise / 2 * random.standard_normal((rows, len(NAMES), 3))
    filled = np.where(masks == VOID, 0, masks)
    images = np.take_along_axis(tints, filled.reshape(rows, -1, 1), 1).reshape(rows, size, size, 3)
    edges = (masks == VOID)[..., None]
    images = np.where(edges, 0.2, images) + noise * random.standard_normal(images.shape)
    images = (255 * images.clip(0, 1)).round().astype(np.uint8).transpose(0, 3, 1, 2)
    return arrays(inputs=images, targets=masks, task="segmentation", names=NAMES, title="shapes")


def _mask(size: int, kinds: list[int], random: np.random.Generator) -> NDArray[np.uint8]:
    """(size, size) with a shape of each kind, later ones over earlier ones."""
    y, x = np.mgrid[0:size, 0:size] + 0.5
    mask = np.zeros((size, size), np.uint8)
    for kind in kinds:
        radius = size * random.uniform(0.18, 0.28)
        left, top = random.uniform(radius, size - radius, 2)
        right, down = x - left, y - top
        tip = (np.abs(right) * 2 - down) / np.sqrt(5)  # of a triangle, by the distance from its slopes
        measure = (np.hypot(right, down), np.maximum(abs(right), abs(down)), np.maximum(tip * 1.6, down))[kind - 1]
        mask[measure <= radius + 0.5] = VOID
        mask[measure <= radius - 0.5] = kind
    return mask
