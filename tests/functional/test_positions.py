"""Places of patches: waves by hand in Python, and learnt vectors on another grid."""

from __future__ import annotations

import math

import pytest
import torch

from thetastar.functional.positions import moves, resized, sinusoidal

pytestmark = pytest.mark.shows("V8")


def test_waves_by_hand() -> None:
    found = sinusoidal((2, 3), 8, tokens=1)[0]
    assert found.shape == (7, 8)
    assert not found[0].any()  # a class token has no place
    for row in range(2):
        for column in range(3):
            a, b, c, d = (place / 10_000 ** (i / 2) for place in (row, column) for i in range(2))
            hand = [wave(angle) for pair in ((a, b), (c, d)) for wave in (math.sin, math.cos) for angle in pair]
            assert found[1 + 3 * row + column].tolist() == pytest.approx(hand, abs=1e-6)


def test_every_place_of_a_large_grid_has_its_own_waves() -> None:
    places = sinusoidal((14, 14), 384)[0]
    apart = torch.cdist(places, places) + 9 * torch.eye(196)
    assert apart.min() > 0.5


def test_the_same_grid_changes_nothing() -> None:
    positions = torch.randn(1, 2 + 12, 8)
    assert resized(positions, 2, (3, 4), (3, 4)) is positions


@pytest.mark.parametrize("new", [(5, 7), (28, 28), (2, 3)])
def test_tokens_stay_and_a_constant_stays_constant(new: tuple[int, int]) -> None:
    front = torch.randn(1, 2, 8)
    found = resized(torch.cat([front, torch.full((1, 196, 8), 0.7)], 1), 2, (14, 14), new)
    assert found.shape == (1, 2 + new[0] * new[1], 8)
    assert torch.equal(found[:, :2], front)
    torch.testing.assert_close(found[:, 2:], torch.full_like(found[:, 2:], 0.7))


def test_rows_stay_rows_and_columns_stay_columns() -> None:
    """A ramp down the image, and one across it, remain such inside a grid of twice the size."""
    down, across = torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="ij")
    ramps = torch.stack([down, across], -1).reshape(1, 48, 2)
    found = resized(ramps, 0, (8, 6), (16, 12)).reshape(16, 12, 2)
    inner = found[5:-5, 5:-5]
    places = torch.arange(5.0, 11.0)
    torch.testing.assert_close(inner[..., 0], ((places + 0.5) / 2 - 0.5)[:, None].expand(6, 2), atol=2e-2, rtol=0)
    torch.testing.assert_close(found[8, 5:-5, 1], (torch.arange(5.0, 7.0) + 0.5) / 2 - 0.5, atol=2e-2, rtol=0)


def test_half_precision_comes_back_as_it_was() -> None:
    positions = torch.randn(1, 17, 8, dtype=torch.bfloat16)
    assert resized(positions, 1, (4, 4), (6, 6)).dtype == torch.bfloat16


@pytest.mark.parametrize(("tokens", "old", "new"), [(1, (4, 4), (2, 3)), (2, (3, 5), (6, 5))])
def test_the_move_to_another_grid_is_a_product_with_a_matrix(
    tokens: int, old: tuple[int, int], new: tuple[int, int]
) -> None:
    positions = torch.randn(1, tokens + old[0] * old[1], 8)
    matrix = moves(tokens, old, new, torch.device("cpu"))
    torch.testing.assert_close(matrix @ positions, resized(positions, tokens, old, new), rtol=1e-5, atol=1e-6)
