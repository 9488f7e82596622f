"""How an image enters a deep net: at once in few, coarse positions, or in all of its own."""

from __future__ import annotations

from typing import Literal

from thetastar.protocols import Field

Stem = Literal["auto", "full", "small"]
SMALL = 96  # pixels of the shorter side: below, the published stem would leave few positions of an image


def chosen_stem(stem: Stem, field: Field, full: str, small: str) -> tuple[bool, list[str]]:
    """Whether the stem is the small one; and what to say, where the images chose it.

    Args:
        stem: the one asked for; "auto" takes the small one for images whose shorter side is under 96 pixels.
        field: of the images.
        full, small: the two stems in words.
    """
    _, height, width = field.shape
    if stem != "auto":
        return stem == "small", []
    if min(height, width) >= SMALL:
        return False, [f"stem: {full}, as published, for {height}×{width} images (model.stem=small is the other)"]
    return True, [f"stem: {small} in place of {full}, for {height}×{width} images (model.stem=full is the published)"]
