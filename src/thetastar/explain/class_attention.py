"""What the class token looks at in the last block: a map a head over the image, and the patches that hold most."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import RenderableType
from rich.text import Text
from torch import Tensor
from torch.nn import functional as F

from thetastar.explain.attention_maps import embedded, folded, picture, scaled, shaded
from thetastar.explain.drawing import bold, sheet, text
from thetastar.explain.showing import Shown
from thetastar.functional.attention import attention_in_steps
from thetastar.layers.transformer import Block
from thetastar.models.vit import VisionTransformer
from thetastar.star import Star
from thetastar.terminal import console

MASS = 0.6  # of a map, that a mask holds
HEADS = 6  # drawn
LEFT, GAP, SIDE = 10.0, 6.0, 84  # pixels: before the first picture, between two, of the longer side of one
DIM, OUTSIDE = 0.25, np.array([38.0, 64.0, 98.0])  # outside a mask: share of the image, and colour of the rest


@dataclass(frozen=True)
class Seen:
    """An image, what it is called, and its maps (heads, down, across), each summing to one."""

    name: str
    image: Tensor
    maps: Tensor


@torch.no_grad()
def last_attention(f: VisionTransformer, x: Tensor) -> Tensor:
    """How the class token of the last block divides its attention among the patches, those of a head summing to one.

    What it gives to itself and to other tokens in front is left out.

    Shapes: (batch, channels, height, width) → (batch, heads, down, across).

    Source: Caron et al. 2021, Emerging properties in self-supervised vision transformers.
    """
    *before, last = f.blocks
    assert isinstance(last, Block)
    z = f.embedded(x)
    for block in before:
        z = block(z)
    query, key, value = last.attn.queries_keys_values(last.norm1(z))
    weights = attention_in_steps(query[:, :, :1], key, value).weights[:, :, 0, f.tokens :]  # (batch, heads, patches)
    down, across = (side // f.patch for side in x.shape[-2:])
    return (weights / weights.sum(-1, keepdim=True)).unflatten(-1, (down, across))


def over_pixels(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps of patches as light on pixels, bilinear, each summing to one again.

    Shapes: (…, down, across) → (…, height, width).
    """
    flat = maps.reshape(1, -1, *maps.shape[-2:])
    light = F.interpolate(flat, size=size, mode="bilinear", align_corners=False).reshape(*maps.shape[:-2], *size)
    return light / light.sum((-2, -1), keepdim=True)


def holding(maps: Tensor, mass: float = MASS) -> Tensor:
    """True at the fewest patches that together hold this share of a map.

    Shapes: (…, down, across) → the same.
    """
    values, order = maps.flatten(-2).sort(-1, descending=True)
    before = values.cumsum(-1) - values  # what larger ones hold already
    kept = before < mass * values.sum(-1, keepdim=True)
    return torch.zeros_like(kept).scatter(-1, order, kept).unflatten(-1, maps.shape[-2:])


def seen_by(star: Star, images: Tensor, names: Sequence[str]) -> list[Seen]:
    """The maps of these images, (images, channels, height, width) in the user's units."""
    assert isinstance(star.program.f, VisionTransformer)
    net = copy.deepcopy(star.program.f).cpu().float().eval()
    x = images.cpu().float()
    maps = last_attention(net, x)
    return [Seen(name, image, own) for name, image, own in zip(names, x, maps, strict=True)]


def show(star: Star, images: Tensor, names: Sequence[str]) -> Shown:
    """Maps and masks of images as tables and as a drawing."""
    seen = seen_by(star, images, names)
    f = star.program.f
    assert isinstance(f, VisionTransformer)
    patches = seen[0].maps[0].numel()
    label = f"What the class token of {type(f).__name__} looks at in its last block"
    table = console.table("image", *(f"head {head + 1}" for head in range(len(seen[0].maps))))
    for one in seen:
        table.add_row(one.name, *(str(int(mask.sum())) for mask in holding(one.maps)))
    note = (
        f"\nHow few of {patches} patches hold {MASS:.0%} of a head's attention; even attention needs {even(patches)}\n"
    )
    parts: list[RenderableType] = [Text(label), Text(note), table]
    data: dict[str, Any] = {
        "model": type(f).__name__,
        "mass": MASS,
        "images": [
            {"image": one.name, "attention": one.maps.tolist(), "mask": holding(one.maps).tolist()} for one in seen
        ],
    }
    return Shown(parts, data, drawn(seen, label), label)


def even(patches: int) -> int:
    """How many of as many alike hold the mass."""
    return int(-(-patches * MASS // 1))


def drawn(seen: Sequence[Seen], label: str) -> str:
    """An SVG: of each image a line of maps, a column a head, and below it the image within the mask of each."""
    heads = min(len(seen[0].maps), HEADS)
    high, wide = (side * SIDE / 164 for side in scaled((seen[0].image.shape[-2], seen[0].image.shape[-1])))
    width = max(372.0, 2 * LEFT + (heads + 1) * (wide + GAP))
    body: list[str] = []
    y = 20.0
    for line in folded(label, width - 2 * LEFT, 12):
        body.append(bold(LEFT, y, line, 12))
        y += 16
    for line in folded(f"a column a head; below, the fewest patches that hold {MASS:.0%}", width - 2 * LEFT, 11):
        body.append(text(LEFT, y, line, "soft"))
        y += 15
    for head in range(heads):
        x = LEFT + (head + 1) * (wide + GAP) + wide / 2
        body.append(text(x, y + 6, f"head {head + 1}", "soft", 10, "middle"))
    y += 14
    for one in seen:
        body.append(embedded(picture(one.image), LEFT, y, wide, high))
        body.append(text(LEFT, y + high + 16, folded(one.name, wide, 10)[0], "ink", 10))
        masks = holding(one.maps)
        for head in range(heads):
            x = LEFT + (head + 1) * (wide + GAP)
            body.append(embedded(shaded(over_pixels(one.maps[head], fine(one.image))), x, y, wide, high))
            body.append(embedded(within(one.image, masks[head]), x, y + high + GAP, wide, high))
        y += 2 * (high + GAP) + 12
    left = len(seen[0].maps) - heads
    if left:
        body.append(text(LEFT, y + 8, f"{left} more heads are not drawn", "soft"))
        y += 20
    return sheet("".join(body), width, y + 8, label)


def fine(image: Tensor) -> tuple[int, int]:
    """Height and width at which a map is drawn: those of the image, at most those of its place on the drawing twice."""
    high, wide = image.shape[-2:]
    share = min(1.0, 2 * SIDE / max(high, wide))
    return max(1, round(high * share)), max(1, round(wide * share))


def within(image: Tensor, mask: Tensor) -> NDArray[np.uint8]:
    """The image as colours, hardly to be seen outside of the patches of a mask."""
    light = F.interpolate(mask[None, None].float(), image.shape[-2:], mode="nearest")[0, 0]
    inside = (DIM + (1 - DIM) * light).numpy()[..., None]
    return (inside * picture(image) + (1 - inside) * OUTSIDE).round().astype(np.uint8)
