"""Fixed parameters: each change beside another library's, image by image, on the same 8-bit images."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from thetastar.functional import colour, tones
from thetastar.functional.blurring import blurred
from thetastar.functional.placing import moved, placed
from thetastar.functional.warping import chained, mapping, warp

HEIGHT, WIDTH = 21, 21
Pixels = NDArray[np.uint8]  # (height, width, channels)
STEP = 1 / 255


def photographs() -> Pixels:
    """Three smooth images of 8 bits with noise: dark, full and of few levels."""
    random = np.random.default_rng(5)
    j, i = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    waves = [np.sin(i / 3 + c) * np.cos(j / (4 + c)) for c in range(3)]
    full = 127 + 100 * np.stack(waves, -1) + random.normal(0, 12, (HEIGHT, WIDTH, 3))
    dark = 20 + full / 3
    few = 80 * (full // 80)
    return np.clip(np.stack([full, dark, few]), 0, 255).astype(np.uint8)


PHOTOGRAPHS = photographs()
X = torch.from_numpy(PHOTOGRAPHS).permute(0, 3, 1, 2).float() / 255
Case = tuple[str, Callable[[Tensor], Tensor], Callable[[Pixels], Any], float]


def full(value: float) -> Tensor:
    return torch.full((len(X),), float(value))


def image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels)


def by_plane(pixels: Pixels, change: Callable[[Image.Image], Image.Image]) -> NDArray[Any]:
    """A change of images of floats, which Pillow has with one channel only."""
    planes = [change(Image.fromarray(plane.astype(np.float32) / 255)) for plane in np.moveaxis(pixels, 2, 0)]
    return np.stack([np.asarray(plane) for plane in planes], -1) * 255


def pillow_affine(matrix: Tensor) -> Callable[[Pixels], NDArray[Any]]:
    (a, b, c), (d, e, f) = matrix.tolist()  # from the centre to Pillow's corner
    c += WIDTH / 2 - a * WIDTH / 2 - b * HEIGHT / 2
    f += HEIGHT / 2 - d * WIDTH / 2 - e * HEIGHT / 2
    how = (Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)
    return lambda pixels: by_plane(pixels, lambda plane: plane.transform((WIDTH, HEIGHT), *how))


def affine_cases() -> list[Case]:
    chosen = [  # degrees, right, down, zoom, shear, lean
        (10, 0, 0, 1, 0, 0),
        (-33, 1.5, -2.25, 1, 0, 0),
        (0, 0, 0, 1.3, 0, 0),
        (0, 0, 0, 0.7, 0, 0),
        (0, 0, 0, 1, 0.31, 0),
        (0, 0, 0, 1, 0, -0.4),
        (25, -3.3, 4.1, 0.8, 0.2, -0.1),
        (170, 0.4, 0.4, 1.9, -0.2, 0.3),
    ]
    cases: list[Case] = []
    for angle, *rest in chosen:
        matrix = mapping(full(math.radians(angle)), *map(full, rest))
        ours = lambda x, matrix=matrix: warp(x, matrix)  # noqa: E731
        cases.append((f"affine {angle} {rest}", ours, pillow_affine(matrix[0]), 0.02 * STEP))
    return cases


def turn_cases() -> list[Case]:
    turns = ((90, Image.Transpose.ROTATE_90), (180, Image.Transpose.ROTATE_180), (270, Image.Transpose.ROTATE_270))
    zero = full(0)
    return [
        (
            f"rotate {degrees}",
            lambda x, angle=full(math.radians(degrees)): warp(x, mapping(angle, zero, zero, full(1))),
            lambda pixels, how=how: image(pixels).transpose(how),
            0.02 * STEP,
        )
        for degrees, how in turns
    ]


def pillow_moved(right: int, down: int) -> Callable[[Pixels], Image.Image]:
    how = (Image.Transform.AFFINE, (1, 0, -right, 0, 1, -down), Image.Resampling.NEAREST)
    return lambda pixels: image(pixels).transform((WIDTH, HEIGHT), *how)


def move_cases() -> list[Case]:
    zero = full(0)
    cases: list[Case] = []
    for right, down in ((3, 0), (0, -4), (-2, 5), (7, 7)):
        matrix = mapping(zero, full(right), full(down), full(1))
        ours = lambda x, matrix=matrix: warp(x, matrix)  # noqa: E731
        cases.append((f"translate {right} {down}", ours, pillow_moved(right, down), 0.02 * STEP))
        rows, columns = moved(full(-down).long(), HEIGHT, "zero"), moved(full(-right).long(), WIDTH, "zero")
        ours = lambda x, rows=rows, columns=columns: placed(x, rows, columns)  # noqa: E731
        cases.append((f"crop zero {right} {down}", ours, pillow_moved(right, down), 0.0))
    for fill, mode in (("edge", "edge"), ("reflect", "reflect")):
        for top, left in ((-3, 2), (4, -4)):
            rows, columns = moved(full(top).long(), HEIGHT, fill), moved(full(left).long(), WIDTH, fill)

            def padded(pixels: Pixels, top: int = top, left: int = left, mode: Any = mode) -> Pixels:
                around = np.pad(pixels, ((4, 4), (4, 4), (0, 0)), mode)
                return around[4 + top : 4 + top + HEIGHT, 4 + left : 4 + left + WIDTH]

            ours = lambda x, rows=rows, columns=columns: placed(x, rows, columns)  # noqa: E731
            cases.append((f"crop {fill} {top} {left}", ours, padded, 0.0))
    straight = torch.arange(WIDTH).expand(len(X), -1)
    back = straight.flip(1)
    cases.append(("mirror", lambda x: placed(x, straight, back), lambda pixels: ImageOps.mirror(image(pixels)), 0.0))
    cases.append(("flip", lambda x: placed(x, back, straight), lambda pixels: ImageOps.flip(image(pixels)), 0.0))
    return cases


def adjusted(x: Tensor, what: int, factor: float) -> Tensor:
    return colour.adjusted(x, full(factor), *colour.shares(full(what), full(factor)))


def enhanced(kind: Any, factor: float) -> Callable[[Pixels], Image.Image]:
    return lambda pixels: kind(image(pixels)).enhance(factor)


def colour_cases() -> list[Case]:
    """Pillow rounds luma, mean and result to 8 bits."""
    kinds = (
        (ImageEnhance.Brightness, colour.BRIGHTNESS, 0.0),
        (ImageEnhance.Contrast, colour.CONTRAST, 1.0),
        (ImageEnhance.Color, colour.SATURATION, 1.0),
    )
    cases: list[Case] = []
    for kind, what, rounded in kinds:
        for factor in (0.0, 0.4, 1.3, 1.8):
            ours = lambda x, what=what, factor=factor: adjusted(x, what, factor)  # noqa: E731
            error = (1 + rounded * abs(1 - factor)) * STEP
            cases.append((f"{kind.__name__} {factor}", ours, enhanced(kind, factor), error))
    for factor in (0.0, 0.5, 1.9):
        ours = lambda x, factor=factor: tones.sharpened(x, full(factor))  # noqa: E731
        error = (1 + abs(1 - factor)) * STEP
        cases.append((f"Sharpness {factor}", ours, enhanced(ImageEnhance.Sharpness, factor), error))
    for turn in (0.1, 0.25, -0.3, 0.5):
        ours = lambda x, turn=turn: colour.turned(x, full(turn))  # noqa: E731
        cases.append((f"hue {turn}", ours, lambda pixels, turn=turn: by_colorsys(pixels, turn), 1e-3 * STEP))
    cases.append(("greyscale", lambda x: colour.luma(x).expand_as(x), grey, STEP))
    return cases


def by_colorsys(pixels: Pixels, turn: float) -> NDArray[Any]:
    def one(pixel: NDArray[Any]) -> tuple[float, ...]:
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
        return colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)

    return np.apply_along_axis(one, 2, pixels) * 255


def grey(pixels: Pixels) -> Image.Image:
    return image(pixels).convert("L").convert("RGB")


def tone_cases() -> list[Case]:
    cases: list[Case] = [
        ("equalise", tones.equalised, lambda pixels: ImageOps.equalize(image(pixels)), 0.02 * STEP),
        ("autocontrast", tones.stretched, lambda pixels: ImageOps.autocontrast(image(pixels)), STEP),
        ("invert", tones.inverted, lambda pixels: ImageOps.invert(image(pixels)), 0.02 * STEP),
    ]
    for level in (1, 64, 128, 200, 256):
        ours = lambda x, level=level: tones.solarised(x, full((level - 0.5) / 255))  # noqa: E731
        cases.append(
            (
                f"solarise {level}",
                ours,
                lambda pixels, level=level: ImageOps.solarize(image(pixels), level),
                0.02 * STEP,
            )
        )
    for bits in (1, 2, 4, 7, 8):
        ours = lambda x, bits=bits: tones.posterised(x, full(bits))  # noqa: E731
        cases.append(
            (f"posterise {bits}", ours, lambda pixels, bits=bits: ImageOps.posterize(image(pixels), bits), 0.02 * STEP)
        )
    for std, radius in ((0.5, 2), (1.0, 3), (2.0, 6)):
        cases.append(
            (
                f"blur {std}",
                lambda x, std=std, radius=radius: blurred(x, full(std), radius),
                lambda pixels, std=std, radius=radius: by_scipy(pixels, std, radius),
                0.02 * STEP,
            )
        )
    return cases


def by_scipy(pixels: Pixels, std: float, radius: int) -> NDArray[Any]:
    once = gaussian_filter1d(pixels.astype(np.float64), std, axis=0, mode="mirror", radius=radius)
    return gaussian_filter1d(once, std, axis=1, mode="mirror", radius=radius)


CASES = [*affine_cases(), *turn_cases(), *move_cases(), *colour_cases(), *tone_cases()]


@pytest.mark.shows("O10")
def test_there_are_fifty_cases_of_different_names() -> None:
    assert len({name for name, *_ in CASES}) == len(CASES) >= 50


@pytest.mark.shows("O10")
@pytest.mark.parametrize(("ours", "theirs", "error"), [pytest.param(*case, id=name) for name, *case in CASES])
def test_agrees_with_another_library(
    ours: Callable[[Tensor], Tensor], theirs: Callable[[Pixels], Any], error: float
) -> None:
    found = ours(X.clone()).permute(0, 2, 3, 1).numpy()
    for pixels, y in zip(PHOTOGRAPHS, found, strict=True):
        np.testing.assert_allclose(y, np.asarray(theirs(pixels)) / 255, rtol=0, atol=error + 1e-6)


def test_single_channels_have_no_hue_and_no_saturation() -> None:
    x = X[:, :1]
    torch.testing.assert_close(colour.turned(x, full(0.3)), x, rtol=0, atol=0)
    torch.testing.assert_close(adjusted(x, colour.SATURATION, 0.2), x)


def test_a_chain_of_maps_is_one_after_the_other() -> None:
    """Whole pixels and right angles lose nothing, so that two resamplings are one."""
    zero, one = full(0), full(1)
    turn = mapping(full(math.pi / 2), zero, zero, one)
    move = mapping(zero, full(3), full(-2), one)
    for first, second in ((turn, move), (move, turn)):
        torch.testing.assert_close(warp(warp(X, first), second), warp(X, chained(first, second)), rtol=0, atol=1e-4)


def test_edges_go_on_where_they_are_asked_to() -> None:
    matrix = mapping(full(0), full(4), full(0), full(1))
    y = warp(X, matrix, "edge")
    torch.testing.assert_close(y[..., :4], X[..., :1].expand(-1, -1, -1, 4), rtol=0, atol=1e-5)
    torch.testing.assert_close(y[..., 4:], X[..., :-4], rtol=0, atol=1e-5)
