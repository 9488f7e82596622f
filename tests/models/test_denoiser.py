"""The denoiser hears the noise level, and one example at a time."""

from __future__ import annotations

import torch

from thetastar.functional.keys import seeded
from thetastar.models.denoiser import denoiser
from thetastar.protocols import Field, Schema

FIELD = Field("image", (1, 4, 4), mean=(0.5,), std=(0.25,))


def build() -> denoiser:
    with seeded("denoiser"):
        return denoiser(Schema(FIELD), width=16, depth=2)


def test_it_returns_the_shape_of_its_input() -> None:
    f, x = build(), torch.rand(5, 1, 4, 4)
    assert f(x, torch.rand(5)).shape == x.shape
    assert f.features(x).shape == (5, f.width)


def test_each_example_is_told_its_own_level() -> None:
    f, x = build(), torch.rand(1, 1, 4, 4).expand(3, -1, -1, -1)
    out = f(x, torch.tensor([0.0, 0.5, 0.5]))
    torch.testing.assert_close(out[1], out[2])
    assert not torch.allclose(out[0], out[1], atol=1e-3)
    torch.testing.assert_close(f(x)[0], out[0])  # without a level the input counts as clean


def test_neighbouring_levels_of_a_thousand_are_told_apart() -> None:
    told = build().level(torch.arange(1, 1001) / 1000)
    gaps = (told[1:] - told[:-1]).norm(dim=1)
    assert gaps.min() > 0.05
    assert torch.cdist(told, told).fill_diagonal_(1.0).min() > 0.05


def test_units_of_the_input_do_not_matter() -> None:
    """Twice the range, twice the moments: the same answer."""
    f, x, level = build(), torch.rand(4, 1, 4, 4), torch.rand(4)
    with seeded("denoiser"):
        other = denoiser(Schema(Field("image", (1, 4, 4), mean=(1.0,), std=(0.5,))), width=16, depth=2)
    torch.testing.assert_close(other(2 * x, level), f(x, level))
