"""Jigsaw: tiles in the order of their permutation, closed shortcuts, the loss by hand, and what it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from tests.methods.pretexts import CNN, arrays, loss_of, parts, probed, recipe
from tests.methods.probing import assembled

from thetastar import equation
from thetastar.errors import UserError
from thetastar.functional.keys import seeded
from thetastar.functional.permutations import distant
from thetastar.methods.jigsaw import jigsaw

pytestmark = pytest.mark.shows("L2")
POOLED = {"name": "resnet20", "width": 8, "widening": 1, "blocks": 1}


def made(model: Any = CNN, size: int = 32, channels: int = 1, **method: Any) -> tuple[Any, jigsaw]:
    images = np.random.default_rng(0).random((40, channels, size, size))
    method = {"name": "jigsaw", "permutations": 20, "hidden": 32, **method}
    _, _, program = assembled(recipe(method, arrays(images), model=model))
    assert isinstance(program.method, jigsaw)
    return program, program.method


@pytest.mark.parametrize(("size", "method", "side"), [(32, {}, 8), (30, {"gap": 0.3}, 7), (8, {"grid": 2}, 3)])
def test_tiles_stand_in_the_order_of_the_permutation(size: int, method: Any, side: int) -> None:
    """Every pixel of these images holds its own number, so that a tile tells which cell it was cut from, and where."""
    _, task = made(size=size, **method)
    assert task.side == side
    image = torch.arange(size * size, dtype=torch.float32).view(1, 1, size, size)
    with seeded("puzzles"):
        tiles, which = task.puzzles(image.expand(2000, 1, -1, -1))
    orders = distant(task.grid**2, 20)
    margin = (size - task.grid * task.cell) // 2
    corner = tiles[:, :, 0, 0, 0].long()
    top, left = corner // size - margin, corner % size - margin
    assert torch.equal(top // task.cell * task.grid + left // task.cell, orders[which])
    inside = torch.arange(side)
    numbers = corner[..., None, None] + inside[:, None] * size + inside
    assert torch.equal(tiles[:, :, 0].long(), numbers)
    for start in (top % task.cell, left % task.cell):  # anywhere within the cell, and never out of it
        assert start.min() == 0
        assert start.max() == task.cell - side
    assert torch.bincount(which, minlength=20).min() > 50


def test_light_and_colour_of_a_tile_tell_nothing() -> None:
    """A brighter, flatter or coloured copy of a tile is the same tile to f."""
    _, task = made(channels=3)
    tiles = torch.rand(30, 3, 8, 8)
    copies = 0.2 + 0.6 * tiles * torch.rand(30, 3, 1, 1).clamp_min(0.5)
    found = task.levelled(tiles)
    torch.testing.assert_close(task.levelled(copies), found, rtol=0.02, atol=0.02)
    torch.testing.assert_close(found.mean((2, 3)), task.mean.view(1, 3).expand(30, 3), rtol=1e-4, atol=1e-5)
    assert torch.isfinite(task.levelled(torch.ones(1, 3, 8, 8))).all()


@pytest.mark.parametrize("model", [CNN, POOLED])
def test_the_loss_is_the_log_loss_over_the_permutations(model: Any) -> None:
    program, task = made(model)
    program.eval()
    x = torch.rand(5, 1, 32, 32)
    loss, aux = loss_of(program, {"input": x})
    with seeded(0, "loss"):
        puzzles, which = task.puzzles(x)
    expected, right = [], []
    for tiles, label in zip(puzzles, which.tolist(), strict=True):
        features = []
        for tile in tiles:
            seen = task.levelled(tile[None])
            if model is CNN:
                seen = torch.nn.functional.interpolate(seen, (32, 32), mode="bilinear")
            features.append(program.f.features(seen)[0])
        logits = task.answer(torch.cat(features)[None])[0].detach().double().numpy()
        expected.append(np.log(np.exp(logits).sum()) - logits[label])
        right.append(logits.argmax() == label)
    np.testing.assert_allclose(loss.item(), np.mean(expected), rtol=1e-5)
    np.testing.assert_allclose(aux.log["jigsaw_accuracy"], np.mean(right))


@pytest.mark.parametrize("model", [CNN, POOLED])
def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones(model: Any) -> None:
    method = {"name": "jigsaw", "permutations": 20, "hidden": 64}
    runs = [probed(recipe(method, parts(), 60, seed, model, lr=5e-3), 100)[:2] for seed in range(2)]
    assert all(after > before + 0.05 for before, after in runs), runs


def solved(images: np.ndarray, steps: int, gap: float, levelled: bool = True) -> float:
    """The accuracy after training, of eight permutations of four tiles: 1/8 by chance."""
    method = {"name": "jigsaw", "grid": 2, "permutations": 8, "gap": gap, "hidden": 32}
    model = {"name": "cnn", "channels": [8, 8], "hidden": 32}
    whole, stream, program = assembled(recipe(method, arrays(images.clip(0, 1)), steps, model=model, lr=5e-3))
    task: Any = program.method
    task.levelled = task.levelled if levelled else lambda tiles: tiles
    equation.fit(whole, stream=stream, start=program)
    return float(loss_of(program.eval(), stream.sample("valid", 150))[1].log["jigsaw_accuracy"])


def test_without_the_gap_edges_give_tiles_away_that_show_nothing() -> None:
    """Clouds: no part of them belongs anywhere, but they run on from tile to tile."""
    noise = np.random.default_rng(0).standard_normal((1000, 1, 16, 16))
    clouds = gaussian_filter(noise, (0, 0, 1.5, 1.5))
    clouds = 0.5 + 0.15 * clouds / clouds.std()
    assert solved(clouds, 150, gap=0.0) > 0.35
    assert solved(clouds, 150, gap=0.5) < 0.22


def test_without_levelling_light_gives_tiles_away_that_show_nothing() -> None:
    """Noise under light from above, left."""
    down, across = np.mgrid[0:16, 0:16] / 16
    lit = 0.7 - 0.25 * down - 0.15 * across + 0.05 * np.random.default_rng(0).standard_normal((1000, 1, 16, 16))
    assert solved(lit, 60, gap=0.3, levelled=False) > 0.9
    assert solved(lit, 60, gap=0.3) < 0.25


def test_tiles_that_are_too_small_and_orders_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UserError, match="4×4 images: tiles of 1×1"):
        made(size=4, grid=2)
    with pytest.raises(UserError, match="at most 24"):
        made(grid=2, permutations=25)
