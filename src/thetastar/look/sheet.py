"""Contact sheets: labelled lines of small images as one PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from thetastar.look.subject import Subject

TILE, GAP, LABEL = 56, 4, 104
PAPER, INK = (255, 255, 255), (60, 68, 77)


def sheet(subject: Subject, groups: Sequence[tuple[str, Sequence[tuple[int, str]]]]) -> str | None:
    """A data URI of one line a group: its name, then its images, each with a caption below where there is one.

    Args:
        subject: that holds the images.
        groups: (name, [(row, caption), …]); lines without images are left out.
    """
    groups = [(name, tiles) for name, tiles in groups if tiles]
    if not groups:
        return None
    captioned = any(caption for _, tiles in groups for _, caption in tiles)
    left = LABEL if any(name for name, _ in groups) else GAP
    step = TILE + GAP + (14 if captioned else 0)
    across = max(len(tiles) for _, tiles in groups)
    page = Image.new("RGB", (left + across * (TILE + GAP), len(groups) * step + GAP), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=11)
    for line, (name, tiles) in enumerate(groups):
        top = GAP + line * step
        draw.text((GAP, top + TILE // 2 - 7), _fitted(name, 17), INK, font)
        for place, (row, caption) in enumerate(tiles):
            x = left + place * (TILE + GAP)
            page.paste(tile(subject, row), (x, top))
            draw.text((x, top + TILE), _fitted(caption, 9), INK, font)
    stream = io.BytesIO()
    page.quantize(128).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def tile(subject: Subject, row: int) -> Image.Image:
    """An image within a square, its pixels kept visible where it is small."""
    assert subject.images is not None
    pixels = subject.images[row].numpy()
    if pixels.dtype != np.uint8:
        pixels = (np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    pixels = pixels[0] if len(pixels) in (1, 2) else pixels[:3].transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    share = TILE / max(picture.size)
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    smooth = Image.Resampling.LANCZOS if share < 1 else Image.Resampling.NEAREST
    square = Image.new("RGB", (TILE, TILE), PAPER)
    square.paste(picture.resize(size, smooth), ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return square


def _fitted(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
