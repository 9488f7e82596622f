"""Inpainting: the block and what f sees of it, the loss by hand, features with and without places, what it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.pretexts import CNN, arrays, loss_of, probed, recipe
from tests.methods.probing import assembled

import thetastar
from thetastar import equation
from thetastar.functional.keys import seeded
from thetastar.methods.inpainting import inpainting
from thetastar.protocols import Clock
from thetastar.report.pictures import made as made_by
from thetastar.report.runs import render

pytestmark = pytest.mark.shows("L2")
SMALL = {"name": "inpainting", "hidden": 16}
SHAPES = {"name": "shapes", "rows": 120, "size": 16}
UNET = {"name": "unet", "width": 8, "depth": 2}


def made(data: Any = "digits", model: Any = None, **method: Any) -> tuple[Any, inpainting, Any]:
    _, stream, program = assembled(recipe({**SMALL, **method}, data, **({"model": model} if model else {})))
    assert isinstance(program.method, inpainting)
    return program.eval(), program.method, stream.sample("train", 6)


@pytest.mark.parametrize(("share", "side"), [(0.25, 4), (0.5, 6), (1.0, 8)])
def test_a_block_is_a_square_of_the_share_anywhere(share: float, side: int) -> None:
    _, method, _ = made(share=share)
    with seeded("blocks"):
        block = method.block(torch.zeros(2000, 1, 8, 8))[:, 0].numpy()
    starts = set()
    for one in block:
        rows, columns = np.nonzero(one.any(1))[0], np.nonzero(one.any(0))[0]
        assert len(rows) == len(columns) == side
        assert one.sum() == side**2 == one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].sum()
        starts.add((rows[0], columns[0]))
    assert len(starts) == (9 - side) ** 2


def test_the_middle_is_the_same_for_all() -> None:
    _, method, _ = made(region="centre")
    block = method.block(torch.zeros(3, 1, 8, 8))
    expected = np.zeros((8, 8), bool)
    expected[2:6, 2:6] = True
    assert all(np.array_equal(one[0], expected) for one in block.numpy())


@pytest.mark.parametrize(("data", "model"), [("digits", None), (SHAPES, UNET)])
def test_the_loss_is_the_mean_square_within_the_block(data: Any, model: Any) -> None:
    """And f sees the mean colour there; features may be one vector, or one a place."""
    program, method, batch = made(data, model)
    x = batch["input"]
    loss, aux = loss_of(program, batch)
    with seeded(0, "loss"):
        block = method.block(x)
    found = method.decoder(program.f.features(torch.where(block, method.mean, x))).detach().double().numpy()
    standard = ((x - method.mean) / method.std).double().numpy()
    inside = np.broadcast_to(block.numpy(), standard.shape)
    expected = np.square(found - standard)[inside].mean()
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)
    blind = np.square(standard)[inside].mean()
    np.testing.assert_allclose(aux.log["inpainting_error"], expected / blind, rtol=1e-5)


def test_pictures_keep_what_was_not_cut_out() -> None:
    program, method, batch = made()
    with seeded("pictures"):
        shown = method.predict(program.f, batch, frozenset({"pictures"}), Clock(0))
    with seeded("pictures"):
        block = method.block(batch["input"])
    assert list(shown) == ["original", "cut out", "inpainted"]
    for name in ("cut out", "inpainted"):
        assert torch.equal(shown[name][~block], shown["original"][~block])
    assert (shown["cut out"][block] - method.mean).abs().max() < 1e-6


def test_the_page_of_a_run_shows_them(tmp_path: Path) -> None:
    run = thetastar.fit("digits", CNN, SMALL, steps=2, out=tmp_path / "run").run
    assert run is not None
    found = made_by(run.path, "valid")
    assert list(found) == ["original", "cut out", "inpainted"]
    assert all(x.shape == (12, 1, 8, 8) and x.min() >= 0 and x.max() <= 1 for x in found.values())
    page = render([run.path])
    assert all(f"pictures in a row, {name}" in page for name in found)


def test_with_features_that_keep_their_places_it_paints_on_what_lies_around() -> None:
    """Each image has a colour of its own, which the mean of all does not tell."""
    random = np.random.default_rng(0)
    images = random.random((200, 3, 1, 1)) + 0.05 * random.standard_normal((200, 3, 16, 16))
    data = arrays(images.clip(0, 1), random.integers(0, 2, (200, 16, 16)))
    whole, stream, program = assembled(recipe(SMALL, data, 80, model=UNET, lr=1e-2))
    equation.fit(whole, stream=stream, start=program)
    _, aux = loss_of(program.eval(), stream.sample("valid", 30))
    assert aux.log["inpainting_error"] < 0.3


def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    runs = [probed(recipe(SMALL, steps=250, seed=seed)) for seed in range(3)]
    assert all(after > before for before, after, _, _ in runs), [run[:2] for run in runs]
    assert np.mean([after - before for before, after, _, _ in runs]) > 0.02
    _, _, program, stream = runs[0]
    assert loss_of(program, stream.sample("valid", 200))[1].log["inpainting_error"] < 0.6
