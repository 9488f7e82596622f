"""Images and their masks by the same draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from thetastar import registry
from thetastar.data.resident import augmented, moved_together
from thetastar.defaults import open_stream
from thetastar.functional.masks import VOID
from thetastar.functional.warping import warp, warp_mask
from thetastar.protocols import Augment, Clock

MOVES: list[Any] = [
    "flip",
    {"name": "flip", "vertical": 0.5},
    "crop",
    {"name": "crop", "fill": "reflect"},
    "affine",
    "rotate",
    "shear",
    "scale",
    "translate",
    "resized_crop",
]
VALUES = ["colour", "noise", "blur", "solarise", "cutout", "erase"]


def built(*specs: Any) -> tuple[Augment, ...]:
    return tuple(registry.build("data/augment", spec) for spec in specs)


def halves(rows: int = 16, side: int = 24) -> tuple[Tensor, Tensor]:
    """Images that are their own masks: a class of brightness 1/2 beside one of 1, cut along a slanted line."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    mask = (x + torch.arange(rows)[:, None, None] * 0.4 > y * 0.7 + 4).long()
    return (0.5 + 0.5 * mask.float())[:, None].repeat(1, 3, 1, 1), mask


@pytest.mark.shows("V7")
@pytest.mark.parametrize("spec", [*MOVES, ["crop", "flip"], ["rotate", "flip", "scale"]], ids=str)
def test_the_mask_goes_where_the_image_goes(spec: Any) -> None:
    """Brightness says of every pixel which class came there, or that nothing did; between two classes it is neither."""
    x, mask = halves()
    changes = built(*(spec if isinstance(spec, list) else [spec]))
    y, moved = moved_together(x, mask, changes, 7)
    assert torch.equal(y, augmented(x, changes, 7))  # the images are those that are made without masks
    assert not torch.equal(moved, mask)
    brightness = y[:, 0]
    shown = torch.where(brightness == 0, VOID, torch.where(brightness == 1, 1, torch.where(brightness == 0.5, 0, -1)))
    clear = shown >= 0
    assert clear.float().mean() > 0.8
    assert torch.equal(moved[clear], shown[clear])
    assert set(moved.unique().tolist()) <= {0, 1, VOID}  # no class between two


@pytest.mark.parametrize("spec", VALUES)
def test_what_changes_values_leaves_the_mask(spec: str) -> None:
    x, mask = halves()
    y, moved = moved_together(x, mask, built(spec), 3)
    assert torch.equal(moved, mask)
    assert torch.equal(y, augmented(x, built(spec), 3))
    assert not torch.equal(y, x)


def test_random_changes_move_the_mask_where_they_move_the_image() -> None:
    """With magnitude 0 of all that moves nothing, brightness still tells where a pixel came from."""
    change = registry.build("data/augment", {"name": "rand_augment", "n": 2, "m": 20.0})
    x, mask = halves(64)
    draw = torch.Generator().manual_seed(0)
    y, moved = change.together(x, mask, draw)
    assert torch.equal(y, change(x, torch.Generator().manual_seed(0)))
    still = torch.tensor([torch.equal(a, b) for a, b in zip(moved, mask, strict=True)])
    assert 0.2 < still.float().mean() < 0.8
    held = ((y[:, 0] > 0.6) == (mask == 1)).float().mean((1, 2))
    followed = ((y[:, 0] > 0.6) == (moved == 1)).float().mean((1, 2))
    assert followed[~still].mean() > held[~still].mean() + 0.05


def test_a_quarter_turn_is_exact_and_what_comes_from_outside_is_void() -> None:
    mask = torch.tensor([[[0, 1], [2, 3]]])
    turn = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    assert warp_mask(mask, turn).tolist() == torch.rot90(mask, 1, (1, 2)).tolist()
    image = mask[:, None].float() / 3
    torch.testing.assert_close(warp(image, turn)[:, 0] * 3, warp_mask(mask, turn).float())
    aside = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    assert warp_mask(mask, aside).tolist() == [[[1, VOID], [3, VOID]]]
    assert warp_mask(mask, aside, "edge").tolist() == [[[1, 1], [3, 3]]]


def test_a_stream_moves_masks_in_training_alone_and_by_its_seed() -> None:
    data = {"name": "shapes", "rows": 40, "size": 16}
    plain, stream = open_stream(data), open_stream({**data, "augment": ["flip", "colour", "affine"]})
    first, again = (next(stream.batches("train", Clock(0))) for _ in range(2))
    assert torch.equal(first["target"], again["target"])
    assert first["target"].dtype == torch.int64
    assert not torch.equal(first["target"], next(plain.batches("train", Clock(0)))["target"])
    assert torch.equal(
        next(stream.batches("valid", Clock(0)))["target"], next(plain.batches("valid", Clock(0)))["target"]
    )
