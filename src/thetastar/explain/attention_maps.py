"""What a class token looks at, as a drawing: a map for every head of every block, and the rollout over the image."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from thetastar.explain.drawing import bold, breadth, sheet, text

LEFT, GAP, PICTURE, LINE = 44.0, 4.0, 164, 17.0  # pixels: for the blocks' numbers, between maps, of a picture, of text
NARROW = 372  # of a phone
CELL = 48  # of a map, less where many heads stand side by side
SMALLEST = 28
LOW, HIGH = np.array([20.0, 32.0, 44.0]), np.array([255.0, 214.0, 102.0])  # of a map: least, most
LETTERS = 11.0


@dataclass(frozen=True)
class Panel:
    """What stands above the maps: image (channels, height, width) in [0, 1], stages in words, likeliest answers."""

    label: str
    image: Tensor
    grid: tuple[int, int]
    stages: list[tuple[str, str]]
    answers: list[tuple[str, float]]


def drawn(panel: Panel, maps: list[Tensor], flow: Tensor) -> str:
    """An SVG as wide as a phone, or as wide as many heads need.

    Args:
        panel: what stands above.
        maps: of each block (heads, down, across).
        flow: the rollout, (down, across).
    """
    heads = len(maps[0])
    cell = max(SMALLEST, min(CELL, int((NARROW - LEFT) / heads - GAP)))
    width = max(NARROW, LEFT + heads * (cell + GAP) + GAP)
    body, y = top(panel, NARROW)  # without scrolling sideways on a phone
    shown, y = block_maps(maps, cell, y + 10)
    ending, y = overlay(panel, flow, y + 14)
    return sheet("".join([*body, *shown, *ending]), width, y + 10, panel.label)


def top(panel: Panel, width: float) -> tuple[list[str], float]:
    """Title, the image with its patches, stages and answers."""
    y = 20.0
    body = [bold(8, y, line, 12) for line in folded(panel.label, width - 16, 12)][:2]
    body = [line.replace(f'y="{y:.1f}"', f'y="{y + 15 * i:.1f}"') for i, line in enumerate(body)]
    y += 15 * len(body)
    pixels = picture(panel.image)
    high, wide = scaled(panel.grid)
    body += [embedded(pixels, 8, y, wide, high), *net(panel.grid, 8, y, wide, high)]
    side = y + 12
    for name, value in panel.answers:
        words = folded(name, width - wide - 84, LETTERS)[0]
        body += [text(wide + 22, side, words), text(width - 10, side, f"{value:.3g}", "soft", LETTERS, "end")]
        share = min(max(value, 0.0), 1.0) * (width - wide - 32)
        body.append(f'<rect x="{wide + 22:.0f}" y="{side + 4:.1f}" width="{share:.1f}" height="4" class="accent"/>')
        side += 30
    y = max(y + high, side - 12) + 24
    for name, words in panel.stages:
        body.append(bold(8, y, name))
        for line in folded(words, width - 110, LETTERS):
            body.append(text(100, y, line, "soft"))
            y += LINE
    return body, y


def block_maps(maps: list[Tensor], cell: int, y: float) -> tuple[list[str], float]:
    """A row a block, a map a head, each from its own least to its own largest."""
    body = [bold(8, y, "What the class token looks at", 12)]
    body.append(text(8, y + 15, "a row a block, a map a head; bright: most of a map", "soft"))
    y += 36
    heads = len(maps[0])
    body += [text(LEFT + h * (cell + GAP) + cell / 2, y, str(h + 1), "soft", 10, "middle") for h in range(heads)]
    y += 6
    for number, block in enumerate(maps, 1):
        body.append(text(LEFT - 8, y + cell / 2 + 4, str(number), "soft", 10, "end"))
        for h, one in enumerate(block):
            body.append(embedded(shaded(one), LEFT + h * (cell + GAP), y, cell, cell))
        y += cell + GAP
    return body, y + 6


def overlay(panel: Panel, flow: Tensor, y: float) -> tuple[list[str], float]:
    """The rollout alone, and as light on the image."""
    body = [bold(8, y, "Attention rollout", 12)]
    body.append(text(8, y + 15, "how much of each patch is in the class token at the end", "soft"))
    y += 26
    high, wide = scaled(panel.grid)
    light = torch.nn.functional.interpolate(flow[None, None].float(), panel.image.shape[1:], mode="nearest")[0, 0]
    share = (light - light.min()) / (light.max() - light.min()).clamp_min(1e-12)
    lit = panel.image.float() * (0.15 + 0.85 * share)
    body += [embedded(shaded(flow), 8, y, wide, high), embedded(picture(lit), wide + 24, y, wide, high)]
    return body, y + high


def scaled(grid: tuple[int, int]) -> tuple[float, float]:
    """Height and width of a picture whose longer side is PICTURE."""
    most = max(grid)
    return PICTURE * grid[0] / most, PICTURE * grid[1] / most


def net(grid: tuple[int, int], x: float, y: float, wide: float, high: float) -> list[str]:
    """The borders of patches."""
    rows = [f"M{x:.1f} {y + high * i / grid[0]:.1f}h{wide:.1f}" for i in range(1, grid[0])]
    columns = [f"M{x + wide * i / grid[1]:.1f} {y:.1f}v{high:.1f}" for i in range(1, grid[1])]
    return [f'<path d="{"".join(rows + columns)}" stroke="#ffffff" stroke-opacity="0.55" stroke-width="0.7"/>']


def shaded(values: Tensor) -> NDArray[np.uint8]:
    """(down, across) → colours, from the least to the largest."""
    low, high = values.min(), values.max()
    share = ((values - low) / (high - low).clamp_min(1e-12)).numpy()[..., None]
    return (LOW + share * (HIGH - LOW)).round().astype(np.uint8)


def picture(image: Tensor) -> NDArray[np.uint8]:
    """(channels, height, width) → colours; of other than one or three channels their mean."""
    image = image if len(image) in (1, 3) else image.mean(0, keepdim=True)
    low, high = min(0.0, image.min().item()), max(1.0, image.max().item())
    levels = ((image - low) / (high - low) * 255).round().to(torch.uint8)
    return levels.expand(3, -1, -1).permute(1, 2, 0).numpy()


def embedded(colours: NDArray[np.uint8], x: float, y: float, wide: float, high: float) -> str:
    """Pixels as a PNG inside the drawing, squares staying squares."""
    factor = max(1, round(2 * wide / colours.shape[1]))
    large = colours.repeat(factor, 0).repeat(factor, 1)
    buffer = io.BytesIO()
    Image.fromarray(large).save(buffer, "PNG", optimize=True)
    content = base64.b64encode(buffer.getvalue()).decode()
    place = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" preserveAspectRatio="none"'
    return f'<image {place} href="data:image/png;base64,{content}"/>'


def folded(words: str, width: float, size: float) -> list[str]:
    """Lines that fit; a word that does not is cut."""
    lines = [""]
    for word in words.split():
        while breadth(word, size) > width and len(word) > 4:
            word = f"{word[: int(width / breadth('m', size)) - 1]}…"
        joined = f"{lines[-1]} {word}".strip()
        if breadth(joined, size) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = joined
    return lines
