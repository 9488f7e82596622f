"""How an image enters a deep net: at once in few, coarse positions, or in all of its own."""

from __future__ import annotations

from typing import Literal

from thetastar.protocols import Field

Stem = Literal["auto", "full", "small"]
SMALL = 96  # pixels of the shorter side: below, the published stem would leave few positions of an image


def chosen_stem(stem: Stem, field: Field, full: str, small: str, part: str = "stem") -> tuple[bool, list[str]]:
    """Whether the stem is the small one; and what to say, where the images chose it.

    Args:
        stem: the one asked for; "auto" takes the small one for images whose shorter side is under 96 pixels.
        field: of the images.
        full, small: the two stems in words.
        part: of the net, and name of the argument, where it is not the stem that has two forms.
    """
    _, height, width = field.shape
    if stem != "auto":
        return stem == "small", []
    images = f"for {height}×{width} images"
    if min(height, width) >= SMALL:
        return False, [f"{part}: {full}, as published, {images} (model.{part}=small is the other)"]
    return True, [f"{part}: {small} in place of {full}, {images} (model.{part}=full is the published)"]
