"""Histograms of oriented gradients, recomputed pixel by pixel and held against another library's numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thetastar.functional.hog import hog, hog_size


def by_hand(image: np.ndarray, cell: int, orientations: int, block: int) -> np.ndarray:
    """The same in loops and float64; image (channels, height, width)."""
    _, height, width = image.shape
    cells = np.zeros((height // cell, width // cell, orientations))
    for i in range(cells.shape[0] * cell):
        for j in range(cells.shape[1] * cell):
            best = (0.0, 0.0, -1.0)
            for plane in image:
                dy = plane[i + 1, j] - plane[i - 1, j] if 0 < i < height - 1 else 0.0
                dx = plane[i, j + 1] - plane[i, j - 1] if 0 < j < width - 1 else 0.0
                best = max(best, (dy, dx, math.hypot(dx, dy)), key=lambda one: one[2])
            angle = math.degrees(math.atan2(best[0], best[1])) % 180
            cells[i // cell, j // cell, min(int(angle * orientations / 180), orientations - 1)] += best[2] / cell**2
    found = []
    for i in range(cells.shape[0] - block + 1):
        for j in range(cells.shape[1] - block + 1):
            v = cells[i : i + block, j : j + block].ravel()
            v = np.minimum(v / math.sqrt((v**2).sum() + 1e-10), 0.2)
            found.append(v / math.sqrt((v**2).sum() + 1e-10))
    return np.concatenate(found)


@pytest.mark.parametrize(("cell", "orientations", "block"), [(4, 9, 2), (3, 6, 3), (5, 9, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_loops(channels: int, cell: int, orientations: int, block: int) -> None:
    images = np.random.default_rng(0).random((2, channels, 13, 17))
    found = hog(torch.tensor(images), cell, orientations, block)
    assert found.shape == (2, hog_size(13, 17, cell, orientations, block))
    for image, row in zip(images, found.numpy(), strict=True):
        assert row == pytest.approx(by_hand(image, cell, orientations, block), abs=1e-6)


def test_equals_scikit_image() -> None:
    """Recorded from skimage.feature.hog 0.26 (block_norm "L2-Hys") on an image given by a formula."""
    y, x = np.mgrid[0:18, 0:25]
    image = np.sin(0.31 * x * x / 9 + 0.5 * y) + 0.3 * np.cos(0.7 * y)
    found = hog(torch.tensor(image)[None, None], cell=6)[0].numpy()
    expected = [0.08821318, 0.0, 0.20914486, 0.40131284, 0.1873935, 0.0, 0.00805064, 0.00633313, 0.0]
    assert found[:9] == pytest.approx(expected, abs=1e-6)
    assert found.sum() == pytest.approx(20.76281949, abs=1e-5)


def test_an_edge_votes_for_its_angle_whatever_the_light() -> None:
    """A ramp along 30° is all in the bin of 20° to 40°; brighter or with more contrast it is the same."""
    y, x = np.mgrid[0:16, 0:16]
    ramp = math.cos(math.radians(30)) * x + math.sin(math.radians(30)) * y
    inner = torch.tensor(ramp)[None, None]
    blocks = hog(inner, cell=4)[0].reshape(3, 3, 2, 2, 9)
    assert (blocks[1, 1].argmax(-1) == 1).all()
    assert torch.allclose(hog(5 * inner + 100, cell=4), hog(inner, cell=4), atol=1e-6)
