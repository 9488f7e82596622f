"""Pictures of a search: a line a query, the image asked with first, then what is nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from thetastar.explain.attention_maps import embedded, folded, picture
from thetastar.explain.drawing import bold, sheet, text

SIDE, GAP, LEFT, LETTERS = 64.0, 8.0, 10.0, 10.0  # pixels: of an image, between two, before the first, of a letter


@dataclass(frozen=True)
class Tile:
    """An image with two lines below it; `marked` where it agrees with what was asked."""

    image: Tensor
    lines: tuple[str, str]
    marked: bool = False


def strip(lines: Sequence[Sequence[Tile]], label: str, note: str) -> str:
    """An SVG: of each line the first image apart from the others, these framed where they are marked."""
    across = max(len(line) for line in lines)
    width = max(372.0, 2 * LEFT + across * (SIDE + GAP) + 2 * GAP)
    body = [bold(LEFT, 20, label, 12), text(LEFT, 36, note, "soft")]
    y = 50.0
    for line in lines:
        for place, tile in enumerate(line):
            x = LEFT + place * (SIDE + GAP) + (2 * GAP if place else 0)
            body.append(drawn(tile, x, y))
        y += SIDE + 40
    return sheet("".join(body), width, y, label)


def drawn(tile: Tile, x: float, y: float) -> str:
    """One image, its longer side as long as the tile is wide."""
    pixels = picture(tile.image.detach().float().cpu())
    high, wide = pixels.shape[:2]
    share = SIDE / max(high, wide)
    size = (wide * share, high * share)
    place = (x + (SIDE - size[0]) / 2, y + (SIDE - size[1]) / 2)
    found = [embedded(pixels, *place, *size)]
    if tile.marked:
        edges = f'x="{x - 2:.1f}" y="{y - 2:.1f}" width="{SIDE + 4:.1f}" height="{SIDE + 4:.1f}"'
        found.append(f'<rect {edges} fill="none" stroke="#1f9d55" stroke-width="2.5"/>')
    for number, words in enumerate(tile.lines):
        fits = folded(words, SIDE + GAP, LETTERS)[0] if words else ""
        found.append(
            text(x + SIDE / 2, y + SIDE + 14 + 13 * number, fits, "soft" if number else "ink", LETTERS, "middle")
        )
    return "".join(found)
