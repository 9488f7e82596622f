"""Where a patch stands in its image: vectors of places from waves, and learnt ones moved to a grid of another size."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int]  # patches down, patches across
LONGEST = 10_000.0  # the longest wave, over 2π


def sinusoidal(grid: Grid, width: int, tokens: int = 0) -> Tensor:
    """Four quarters a place: sin ω_i r, cos ω_i r, sin ω_i c, cos ω_i c with ω_i = 10,000^{−4i/width}, i < width/4.

    r and c count rows and columns from 0. Tokens that stand in front of the patches have no place: theirs is 0.

    Args:
        grid: patches down and across.
        width: of a vector, a multiple of 4.
        tokens: in front.

    Shapes: → (1, tokens + down · across, width).

    Source: Vaswani et al. 2017, Attention is all you need, in two dimensions as Chen, Xie and He 2021, An empirical
    study of training self-supervised vision transformers.
    """
    assert width % 4 == 0, f"{width} is no multiple of 4"
    down, across = grid
    frequency = LONGEST ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    row, column = torch.meshgrid(
        torch.arange(down, dtype=torch.float64), torch.arange(across, dtype=torch.float64), indexing="ij"
    )
    angles = [place.reshape(-1, 1) * frequency for place in (row, column)]  # each (patches, width / 4)
    places = torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], 1)
    return F.pad(places, (0, 0, tokens, 0)).float()[None]


def resized(positions: Tensor, tokens: int, old: Grid, new: Grid) -> Tensor:
    """Vectors of an old grid of patches at the places of a new one, bicubic; those of the tokens in front stay.

    Going to fewer patches averages over what each new one covers.

    Args:
        positions: of the tokens first, then of the patches row by row.
        tokens: how many stand in front, such as 1 for a class token, 2 with a distillation token.
        old, new: patches down and across.

    Shapes: (1, tokens + old patches, width) → (1, tokens + new patches, width).

    Source: Dosovitskiy et al. 2021, An image is worth 16x16 words, section 3.2.
    """
    count = tokens + old[0] * old[1]
    assert positions.shape[1] == count, f"{positions.shape[1]} positions, not {tokens} + {old[0]} × {old[1]}"
    if old == new:
        return positions
    front, places = positions[:, :tokens], positions[:, tokens:]
    image = places.unflatten(1, old).permute(0, 3, 1, 2).float()  # (1, width, down, across)
    moved = F.interpolate(image, size=new, mode="bicubic", align_corners=False, antialias=True)
    return torch.cat([front, moved.flatten(2).transpose(1, 2).to(positions.dtype)], 1)


@cache
def moves(tokens: int, old: Grid, new: Grid, device: torch.device) -> Tensor:
    """What `resized` does, as a matrix: its gradient is a product and so the same to the bit every time, on a GPU too.

    Shapes: → (tokens + new patches, tokens + old patches).
    """
    return resized(torch.eye(tokens + old[0] * old[1], device=device)[None], tokens, old, new)[0]
