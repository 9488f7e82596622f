"""Masks as pictures: a colour for every class."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thetastar.functional.masks import VOID

GOLDEN = 0.618034  # of a turn: hues one after the other stay far apart, however many there are
NOTHING = (255, 255, 255)  # the colour of void


def palette(classes: int) -> NDArray[np.uint8]:
    """(256, 3) colours: those of the classes by their numbers, then `NOTHING`, that of void among them."""
    colours = np.full((256, 3), NOTHING, np.uint8)
    for number in range(min(classes, VOID)):
        light, full = (0.75, 0.55) if number % 2 else (0.55, 0.75)
        colours[number] = [round(255 * part) for part in colorsys.hsv_to_rgb((0.58 + number * GOLDEN) % 1, full, light)]
    return colours


def painted(mask: NDArray[np.integer], classes: int, size: tuple[int, int] | None = None) -> Image.Image:
    """An index image that shows its classes in colours, in another size to the nearest pixel.

    Shapes: mask (height, width) of classes below 256; size (width, height).
    """
    picture = Image.fromarray(mask.astype(np.uint8))
    picture.putpalette(palette(classes).tobytes())
    return picture if size is None else picture.resize(size, Image.Resampling.NEAREST)
