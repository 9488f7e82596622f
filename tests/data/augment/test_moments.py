"""Random parameters: each augmentation has the moments of an independent loop over images by Pillow and NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import gaussian_filter

from thetastar import registry
from thetastar.data.resident import augmented

SIDE, OURS, THEIRS = 16, 5000, 2500
Picture = Image.Image
Change = Callable[[Picture, Generator], Any]


def picture() -> Picture:
    j, i = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    planes = [130 + 45 * np.sin(i / 3 + c) * np.cos(j / (3 + c)) + 3 * i - 2 * j + 8 * c for c in range(3)]
    noise = np.random.default_rng(2).normal(0, 15, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(np.stack(planes, -1) + noise, 0, 255).astype(np.uint8))


PICTURE = picture()


def moments(y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of each image: mean, products with a fixed pattern and with the original, mean of red, mean square, deviation.

    Pattern and original have mean 0, so that what Pillow cuts off in rounding to 8 bits cancels.
    """
    pattern = np.random.default_rng(1).normal(size=(SIDE, SIDE, 3)) / SIDE
    pattern -= pattern.mean()
    original = np.asarray(PICTURE) / 255
    original -= original.mean()
    tests = [
        np.ones_like(pattern) / pattern.size,
        pattern,
        original / SIDE,
        np.broadcast_to(np.eye(3)[0], pattern.shape) / SIDE**2,
    ]
    first = [np.einsum("nijc,ijc->n", y, test) for test in tests]
    return np.stack([*first, (y.astype(np.float64) ** 2).mean((1, 2, 3)), y.std((1, 2, 3))], 1)


def affined(image: Picture, matrix: NDArray[Any], shift: NDArray[Any], fill: str = "zero") -> Picture:
    """The image by u ↦ matrix u + shift about its centre, y downwards; `fill` edge pads first."""
    pad = 2 * SIDE if fill == "edge" else 0
    if pad:
        image = Image.fromarray(np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), "edge"))
    inverse = np.linalg.inv(matrix)
    start = pad + SIDE / 2 - inverse @ (SIDE / 2 + shift)
    data = (*inverse[0], start[0], *inverse[1], start[1])
    return image.transform((SIDE, SIDE), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)


def rotation(degrees: float) -> NDArray[Any]:
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def affine(image: Picture, random: Generator) -> Picture:
    lean = np.tan(np.radians(random.uniform(-10, 10, 2)))
    matrix = random.uniform(0.9, 1.1) * rotation(random.uniform(-15, 15)) @ np.array([[1, lean[0]], [lean[1], 1]])
    return affined(image, matrix, random.uniform(-0.1, 0.1, 2) * SIDE)


def flip(image: Picture, random: Generator) -> Picture:
    image = ImageOps.mirror(image) if random.random() < 0.5 else image
    return ImageOps.flip(image) if random.random() < 0.3 else image


def crop(image: Picture, random: Generator) -> Picture:
    left, top = random.integers(0, 5, 2)
    return ImageOps.expand(image, 2).crop((left, top, left + SIDE, top + SIDE))


def box(random: Generator, least: float, most: float, aspect: float) -> tuple[int, int, int, int]:
    while True:
        area = random.uniform(least, most) * SIDE**2
        ratio = math.exp(random.uniform(-math.log(aspect), math.log(aspect)))
        high, wide = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < high <= SIDE and 0 < wide <= SIDE:
            top, left = random.integers(SIDE - high + 1), random.integers(SIDE - wide + 1)
            return int(left), int(top), int(left + wide), int(top + high)


def resized_crop(image: Picture, random: Generator) -> Picture:
    how = (Image.Transform.EXTENT, box(random, 0.2, 0.9, 4 / 3), Image.Resampling.BILINEAR)
    return image.transform((SIDE, SIDE), *how)


def erase(image: Picture, random: Generator) -> Picture:
    if random.random() < 0.5:
        left, top, right, bottom = box(random, 0.02, 0.4, 10 / 3)
        hole = random.integers(0, 256, (bottom - top, right - left, 3), dtype=np.uint8)
        image = image.copy()
        image.paste(Image.fromarray(hole), (left, top))
    return image


def cutout(image: Picture, random: Generator) -> Picture:
    x, y = random.integers(0, SIDE, 2)
    image = image.copy()
    image.paste((0, 0, 0), (int(x) - 4, int(y) - 4, int(x) + 4, int(y) + 4))
    return image


def turned(image: Picture, turn: float) -> Picture:
    hue, saturation, value = image.convert("HSV").split()
    table = [(level + round(turn * 255)) % 256 for level in range(256)]
    return Image.merge("HSV", (hue.point(table), saturation, value)).convert("RGB")


def colour(image: Picture, random: Generator) -> Picture:
    changes: list[Callable[[Picture], Picture]] = [
        lambda image: ImageEnhance.Brightness(image).enhance(random.uniform(0.2, 1.8)),
        lambda image: ImageEnhance.Contrast(image).enhance(random.uniform(0.2, 1.8)),
        lambda image: ImageEnhance.Color(image).enhance(random.uniform(0.2, 1.8)),
        lambda image: turned(image, random.uniform(-0.3, 0.3)),
    ]
    for place in random.permutation(4):
        image = changes[place](image)
    return image


def colour_shift(image: Picture, random: Generator) -> NDArray[Any]:
    return np.clip(np.asarray(image) + 255 * random.uniform(-0.3, 0.3, 3), 0, 255)


def sometimes(p: float, change: Change) -> Change:
    return lambda image, random: change(image, random) if random.random() < p else image


def blur(image: Picture, random: Generator) -> NDArray[Any]:
    std = random.uniform(0.1, 2.0)
    return gaussian_filter(np.asarray(image).astype(float), (std, std, 0), mode="mirror", radius=(6, 6, 0))


LIST: list[Change] = [
    lambda image, sign: image,
    lambda image, sign: affined(image, rotation(18 * sign), np.zeros(2)),
    lambda image, sign: affined(image, np.array([[1, 0.18 * sign], [0, 1]]), np.zeros(2)),
    lambda image, sign: affined(image, np.array([[1, 0], [0.18 * sign, 1]]), np.zeros(2)),
    lambda image, sign: affined(image, np.eye(2), np.array([150 / 331 * SIDE * 0.6 * sign, 0])),
    lambda image, sign: affined(image, np.eye(2), np.array([0, 150 / 331 * SIDE * 0.6 * sign])),
    lambda image, sign: ImageEnhance.Brightness(image).enhance(1 + 0.54 * sign),
    lambda image, sign: ImageEnhance.Contrast(image).enhance(1 + 0.54 * sign),
    lambda image, sign: ImageEnhance.Color(image).enhance(1 + 0.54 * sign),
    lambda image, sign: ImageEnhance.Sharpness(image).enhance(1 + 0.54 * sign),
    lambda image, sign: ImageOps.solarize(image, 102),
    lambda image, sign: ImageOps.posterize(image, 6),
    lambda image, sign: ImageOps.autocontrast(image),
    lambda image, sign: ImageOps.equalize(image),
]


def rand_augment(image: Picture, random: Generator) -> Picture:
    for _ in range(2):
        image = LIST[random.integers(len(LIST))](image, random.choice([-1, 1]))
    return image


CASES: list[tuple[dict[str, Any], dict[str, Any], Change]] = [  # right arguments, others not far from them, the loop
    ({"name": "affine"}, {"degrees": 25}, affine),
    (
        {"name": "rotate", "degrees": 40},
        {"degrees": 46},
        lambda x, r: affined(x, rotation(r.uniform(-40, 40)), np.zeros(2)),
    ),
    (
        {"name": "scale", "least": 0.6, "most": 1.5, "fill": "edge"},
        {"most": 1.65},
        lambda x, r: affined(x, r.uniform(0.6, 1.5) * np.eye(2), np.zeros(2), "edge"),
    ),
    (
        {"name": "translate", "share": 0.3},
        {"share": 0.35},
        lambda x, r: affined(x, np.eye(2), r.uniform(-0.3, 0.3, 2) * SIDE),
    ),
    (
        {"name": "shear", "degrees": 30},
        {"degrees": 34},
        lambda x, r: affined(x, np.eye(2) + np.tan(np.radians(r.uniform(-30, 30, 2))) * np.eye(2)[::-1], np.zeros(2)),
    ),
    ({"name": "flip", "vertical": 0.3}, {"vertical": 0.4}, flip),
    ({"name": "crop"}, {"fill": "edge"}, crop),
    ({"name": "resized_crop", "least": 0.2, "most": 0.9}, {"least": 0.3}, resized_crop),
    ({"name": "erase"}, {"p": 0.65}, erase),
    ({"name": "cutout"}, {"share": 0.6}, cutout),
    (
        {"name": "colour", "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.3},
        {"saturation": 0.5},
        colour,
    ),
    ({"name": "colour_shift", "most": 0.3}, {"most": 0.35}, colour_shift),
    ({"name": "greyscale"}, {"p": 0.27}, sometimes(0.2, lambda x, r: x.convert("L").convert("RGB"))),
    ({"name": "blur", "most": 2.0}, {"most": 2.4}, sometimes(0.5, blur)),
    ({"name": "invert", "p": 0.3}, {"p": 0.38}, sometimes(0.3, lambda x, r: ImageOps.invert(x))),
    (
        {"name": "solarise"},
        {"least": 0.15},
        sometimes(0.5, lambda x, r: ImageOps.solarize(x, math.ceil(r.uniform(0, 255)))),
    ),
    (
        {"name": "posterise", "least": 1},
        {"least": 2},
        sometimes(0.5, lambda x, r: ImageOps.posterize(x, int(r.integers(1, 9)))),
    ),
    ({"name": "autocontrast"}, {"p": 0.6}, sometimes(0.5, lambda x, r: ImageOps.autocontrast(x))),
    ({"name": "equalise"}, {"p": 0.6}, sometimes(0.5, lambda x, r: ImageOps.equalize(x))),
    (
        {"name": "sharpen"},
        {"amount": 0.7},
        sometimes(0.5, lambda x, r: ImageEnhance.Sharpness(x).enhance(r.uniform(0.1, 1.9))),
    ),
    ({"name": "rand_augment", "m": 18}, {"m": 22}, rand_augment),
]


def test_every_augmentation_is_compared() -> None:
    """Noise, which has no parameters of its own, is tested by its deviation."""
    assert {spec["name"] for spec, *_ in CASES} == set(registry.entries("data/augment")) - {"noise"}


def agree(spec: dict[str, Any], theirs: NDArray[np.float64]) -> bool:
    """Means and variances of six statistics, each within 4.5 standard errors and what 8 bits may shift."""
    x = torch.from_numpy(np.asarray(PICTURE).copy()).permute(2, 0, 1).float().div(255).expand(OURS, -1, -1, -1)
    y = augmented(x, (registry.build("data/augment", spec),), 3, "moments")
    ours = moments(y.permute(0, 2, 3, 1).numpy())
    middle = theirs.mean(0)
    for a, b, rounding in ((ours, theirs, 0.7), ((ours - middle) ** 2, (theirs - middle) ** 2, 0.02)):
        error = np.sqrt(a.var(0) / OURS + b.var(0) / THEIRS)
        if (np.abs(a.mean(0) - b.mean(0)) > 4.5 * error + rounding / 255).any():
            return False
    return True


@pytest.mark.shows("O10")
@pytest.mark.parametrize(("spec", "wrong", "change"), [pytest.param(*case, id=case[0]["name"]) for case in CASES])
def test_moments_are_those_of_a_loop_over_images(spec: dict[str, Any], wrong: dict[str, Any], change: Change) -> None:
    random = np.random.default_rng(0)
    loop = np.stack([np.asarray(change(PICTURE, random)) for _ in range(THEIRS)])
    theirs = moments(loop.astype(np.float32) / 255)
    assert agree(spec, theirs)
    assert not agree({**spec, **wrong}, theirs)
