"""Patches: cut where they were asked for, and images as rows of them and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.functional.patches import cut, from_patches, rows_of_patches

pytestmark = pytest.mark.shows("L2")


def test_a_patch_is_the_slice_at_its_corner() -> None:
    random = np.random.default_rng(0)
    x = torch.tensor(random.random((5, 3, 9, 11))).contiguous(memory_format=torch.channels_last)
    corners = torch.tensor(np.stack([random.integers(0, 6, (5, 4)), random.integers(0, 8, (5, 4))], -1))
    found = cut(x, corners, 4)
    assert found.shape == (5, 4, 3, 4, 4)
    for n in range(5):
        for k in range(4):
            top, left = corners[n, k].tolist()
            assert torch.equal(found[n, k], x[n, :, top : top + 4, left : left + 4])


def test_an_image_is_its_patches_row_by_row() -> None:
    x = torch.rand(2, 3, 6, 9)
    rows = rows_of_patches(x, 3)
    assert rows.shape == (2, 6, 27)
    for place in range(6):
        down, across = divmod(place, 3)
        block = x[:, :, 3 * down : 3 * down + 3, 3 * across : 3 * across + 3]
        assert torch.equal(rows[:, place], block.permute(0, 2, 3, 1).reshape(2, -1))
    assert torch.equal(from_patches(rows, 3, (2, 3)), x)
