"""Rotation: the turned batch in NumPy, its loss by hand, what it learns, and images that turning leaves the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.pretexts import arrays, loss_of, probed, recipe
from tests.methods.probing import assembled

from thetastar import equation
from thetastar.errors import UserError
from thetastar.methods.rotation import all_turns, rotation

pytestmark = pytest.mark.shows("L2")


def test_the_batch_holds_every_image_in_all_four_turns() -> None:
    x = torch.rand(5, 3, 6, 6)
    turned, turns = all_turns(x)
    for row, turn in enumerate(turns.tolist()):
        np.testing.assert_array_equal(turned[row], np.rot90(x[row % 5].numpy(), turn, (1, 2)))
    assert turns.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5


def test_the_loss_is_the_mean_log_loss_over_the_turns() -> None:
    _, stream, program = assembled(recipe("rotation"))
    method = program.eval().method
    assert isinstance(method, rotation)
    batch = stream.sample("train", 6)
    loss, aux = loss_of(program, batch)
    expected, right = 0.0, 0
    for image in batch["input"].numpy():
        for turn in range(4):
            x = torch.tensor(np.rot90(image, turn, (1, 2)).copy())[None]
            logits = method.answer(program.f.features(x))[0].detach().double().numpy()
            expected -= (logits - np.log(np.exp(logits).sum()))[turn] / 24
            right += int(logits.argmax() == turn)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)
    np.testing.assert_allclose(aux.log["rotation_accuracy"], right / 24)


def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    runs = [probed(recipe("rotation", steps=300, seed=seed))[:2] for seed in range(3)]
    assert all(after > before for before, after in runs), runs
    assert np.mean([after - before for before, after in runs]) > 0.02


def test_what_looks_the_same_when_turned_has_no_answer() -> None:
    """Rings: the gradient leads nowhere, the loss stays at log 4 and the accuracy at chance."""
    y, x = np.mgrid[0:8, 0:8] - 3.5
    radius = np.random.default_rng(0).uniform(1, 4, 200)
    rings = np.exp(-np.square(np.hypot(x, y) - radius[:, None, None]))[:, None]
    whole, stream, program = assembled(recipe("rotation", arrays(rings), steps=60))
    equation.fit(whole, stream=stream, start=program)
    loss, aux = loss_of(program, stream.sample("valid", 30))
    assert loss.item() == pytest.approx(np.log(4), abs=1e-2)
    assert aux.log["rotation_accuracy"] == pytest.approx(0.25)


def test_images_that_turning_would_reshape_are_refused() -> None:
    with pytest.raises(UserError, match="8×6 images"):
        assembled(recipe("rotation", arrays(np.random.default_rng(0).random((40, 1, 8, 6)))))
