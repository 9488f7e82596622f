"""Relative position: patches cut where the label says, closed shortcuts, the loss by hand, what it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.pretexts import CNN, arrays, loss_of, parts, probed, recipe
from tests.methods.probing import assembled

from thetastar.errors import UserError
from thetastar.functional.keys import seeded
from thetastar.methods.relative_position import REMAINS, dropped, relative_position

pytestmark = pytest.mark.shows("L2")
POOLED = {"name": "resnet20", "width": 8, "widening": 1, "blocks": 1}
PLACES = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]  # down, across


def made(model: Any = CNN, size: int = 32, rows: int = 40, **method: Any) -> tuple[Any, relative_position]:
    images = np.random.default_rng(0).random((rows, 1, size, size))
    _, _, program = assembled(
        recipe({"name": "relative_position", "hidden": 32, **method}, arrays(images), model=model)
    )
    assert isinstance(program.method, relative_position)
    return program, program.method


@pytest.mark.parametrize(("size", "method"), [(32, {}), (28, {}), (24, {"patch": 4, "gap": 3, "jitter": 1}), (8, {})])
def test_patches_lie_where_the_label_says(size: int, method: Any) -> None:
    """Every pixel of these images holds its own number, so that a patch tells where it was cut."""
    _, task = made(size=size, **method)
    image = torch.arange(size * size, dtype=torch.float32).view(1, 1, size, size)
    with seeded("pairs"):
        pairs, which = task.pairs(image.expand(3000, 1, -1, -1))
    side, step = task.side, task.side + task.between
    corners = pairs[:, :, 0, 0, 0].long()  # (batch, 2)
    top, left = corners // size, corners % size
    inside = torch.arange(side)
    for place in (0, 1):  # whole patches, not only their corners
        numbers = (top[:, place, None, None] + inside[:, None]) * size + left[:, place, None, None] + inside
        assert torch.equal(pairs[:, place, 0].long(), numbers)
    moved = torch.stack([top[:, 1] - top[:, 0], left[:, 1] - left[:, 0]], 1)
    for label, (down, across) in enumerate(PLACES):
        off = moved[which == label] - step * torch.tensor([down, across])
        assert off.abs().max() == task.moved  # each jitter is drawn
        assert len(off) > 250
    starts = torch.stack([top[:, 0], left[:, 0]], 1)
    low, high = starts.amin(0), starts.amax(0)
    for label in range(8):  # where the first patch lies does not tell where the second is
        assert torch.equal(starts[which == label].amin(0), low)
        assert torch.equal(starts[which == label].amax(0), high)


def test_two_of_three_channels_are_dropped_for_faint_noise() -> None:
    patches = torch.rand(600, 3, 5, 5)
    found = dropped(patches)
    same = (found == patches).all(-1).all(-1)  # (patches, channels)
    assert (same.sum(1) == 1).all()
    assert (same.float().mean(0) - 1 / 3).abs().max() < 0.08
    deviation = found.std((2, 3))
    ratio = deviation[~same].view(-1, 2) / deviation[same][:, None]
    assert ratio.mean().item() == pytest.approx(REMAINS, rel=0.05)
    assert torch.equal(dropped(patches[:, :1]), patches[:, :1])


@pytest.mark.parametrize("model", [CNN, POOLED])
def test_the_loss_is_the_log_loss_over_eight_places(model: Any) -> None:
    """Nets that flatten see enlarged patches, nets that pool globally see them as they are."""
    program, task = made(model, patch=6)
    program.eval()
    x = torch.rand(7, 1, 32, 32)
    loss, aux = loss_of(program, {"input": x})
    with seeded(0, "loss"):
        pairs, which = task.pairs(x)
    if model is CNN:
        enlarged = [torch.nn.functional.interpolate(pair, (32, 32), mode="bilinear") for pair in pairs]
        pairs = torch.stack(enlarged)
    expected, right = [], []
    for (first, second), label in zip(pairs, which.tolist(), strict=True):
        both = torch.cat([program.f.features(first[None]), program.f.features(second[None])], 1)
        logits = task.answer(both)[0].detach().double().numpy()
        expected.append(np.log(np.exp(logits).sum()) - logits[label])
        right.append(logits.argmax() == label)
    np.testing.assert_allclose(loss.item(), np.mean(expected), rtol=1e-5)
    np.testing.assert_allclose(aux.log["position_accuracy"], np.mean(right))


@pytest.mark.parametrize("model", [CNN, POOLED])
def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones(model: Any) -> None:
    method = {"name": "relative_position", "patch": 7, "gap": 1, "jitter": 0, "hidden": 64}
    runs = [probed(recipe(method, parts(), 150, seed, model, lr=5e-3), 100)[:2] for seed in range(3)]
    assert all(after > before for before, after in runs), runs
    assert np.mean([after - before for before, after in runs]) > 0.05


def test_images_that_nine_patches_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="nine patches of 12 take 50"):
        made(patch=12)
    with pytest.raises(UserError, match="6×6 images"):
        made(size=6)
