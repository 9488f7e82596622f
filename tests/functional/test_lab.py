"""Lab: known colours, the formulas of CIE in NumPy, the way back, and the bins of the gamut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.functional.lab import gamut, lab, srgb

pytestmark = pytest.mark.shows("L2")


def by_hand(rgb: np.ndarray) -> np.ndarray:
    """(…, 3) sRGB in [0, 1] to L*a*b* under D65, one colour after the other."""
    weights = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    white = weights @ np.ones(3)

    def one(colour: np.ndarray) -> list[float]:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        ratios = (weights @ linear) / white
        x, y, z = (t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in ratios)
        return [116 * y - 16, 500 * (x - y), 200 * (y - z)]

    return np.array([one(colour) for colour in rgb.reshape(-1, 3)]).reshape(rgb.shape)


def test_it_is_the_formula_of_cie_and_back() -> None:
    rgb = np.random.default_rng(0).random((2, 5, 7, 3)) ** 2  # dark ones too, on both sides of the knees
    image = torch.tensor(rgb).permute(0, 3, 1, 2)
    found = lab(image)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), by_hand(rgb), atol=1e-10)
    np.testing.assert_allclose(srgb(found), image, atol=1e-12)
    assert (srgb(lab(image.float())) - image).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_published_values_of_the_primaries(colour: tuple[float, ...], expected: tuple[float, ...]) -> None:
    found = lab(torch.tensor(colour, dtype=torch.float64).view(3, 1, 1)).flatten()
    np.testing.assert_allclose(found, expected, atol=0.006)


def test_greys_have_no_chroma_and_what_cannot_be_shown_is_clipped() -> None:
    grey = torch.linspace(0, 1, 50).expand(3, 1, 50)
    assert lab(grey)[1:].abs().max() < 1e-4
    shown = srgb(torch.tensor([50.0, 150.0, -150.0]).view(3, 1, 1))
    assert shown.min() >= 0
    assert shown.max() <= 1


def test_the_gamut_holds_the_bin_of_every_colour_and_no_other() -> None:
    bins = {tuple(one) for one in gamut(10).int().tolist()}
    assert len(bins) == 262
    rgb = np.random.default_rng(1).random((20_000, 1, 1, 3))
    chroma = lab(torch.tensor(rgb).permute(0, 3, 1, 2))[:, 1:, 0, 0]
    seen = {tuple(one) for one in (10 * (chroma / 10).round()).int().tolist()}
    assert seen <= bins
    assert len(seen) > 200
