"""Two views of every example."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.data.augment.resized_crop import resized_crop
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.functional.boxes import boxes
from thetastar.protocols import Clock


def test_views_are_of_the_same_examples_and_drawn_independently() -> None:
    stream, plain = open_stream({"name": "views", "source": "bars"}), open_stream({"name": "bars", "drop_last": True})
    t = Clock(seed=1, epoch=4)
    for batch, raw in zip(stream.batches("train", t), plain.batches("train", t), strict=True):
        assert torch.equal(batch["index"], raw["index"])
        assert torch.equal(batch["target"], raw["target"])
        for one, other in (("input", "view"), ("view", "input")):
            same = (batch[one] == batch[other]).flatten(1).all(1)
            assert not same.any()
            assert batch[one].shape == raw["input"].shape


def test_views_of_a_vector_differ_by_a_tenth_of_each_entrys_deviation() -> None:
    random = np.random.default_rng(0)
    deviations = np.array([1e-3, 1.0, 1e4])
    x = (random.standard_normal((2000, 3)) * deviations + 5).astype(np.float32)
    stream = open_stream({"name": "views", "source": {"name": "arrays", "inputs": x, "targets": np.arange(2000) % 2}})
    pairs = [batch["input"] - batch["view"] for batch in stream.batches("train", Clock(0))]
    spread = torch.cat(pairs).std(0).numpy() / deviations
    assert spread == pytest.approx(np.full(3, 0.1 * np.sqrt(2)), rel=0.1)  # of the difference of two draws


def test_a_pass_can_be_entered_anywhere_and_batches_are_never_ragged() -> None:
    stream = open_stream({"name": "views", "source": "bars", "batch_size": 24})
    t = Clock(seed=1, epoch=1)
    whole, rest = list(stream.batches("train", t)), list(stream.batches("train", t, skip=3))
    assert len(whole) == stream.length("train")
    assert {len(batch[key]) for batch in whole for key in ("input", "view", "target")} == {24}
    for a, b in zip(whole[3:], rest, strict=True):
        assert torch.equal(a["input"], b["input"])
        assert torch.equal(a["view"], b["view"])


def test_valid_and_test_are_the_examples_as_they_are() -> None:
    stream, plain = open_stream({"name": "views", "source": "moons"}), open_stream("moons")
    for split in ("valid", "test"):
        for a, b in zip(stream.batches(split, Clock(0)), plain.batches(split, Clock(0)), strict=True):
            assert a.keys() == b.keys()
            assert torch.equal(a["input"], b["input"])


def test_without_augmentation_both_views_are_the_example() -> None:
    batch = next(open_stream({"name": "views", "source": "bars", "augment": []}).batches("train", Clock(0)))
    assert torch.equal(batch["input"], batch["view"])


def cut_by_hand(image: np.ndarray, top: float, left: float, h: float, w: float, size: int) -> np.ndarray:
    """A rectangle stretched to a square, bilinear between the centres of pixels, pixel by pixel."""
    side, out = image.shape[1], np.zeros((len(image), size, size))
    for i in range(size):
        for j in range(size):
            y = min(max(top + (i + 0.5) * h / size - 0.5, 0), side - 1)
            x = min(max(left + (j + 0.5) * w / size - 0.5, 0), side - 1)
            y0, x0 = min(int(y), side - 2), min(int(x), side - 2)
            a, b = y - y0, x - x0
            corners = image[:, y0 : y0 + 2, x0 : x0 + 2]
            out[:, i, j] = np.einsum("cij,i,j->c", corners, [1 - a, a], [1 - b, b])
    return out


def test_small_views_are_parts_of_the_image_stretched_as_by_hand() -> None:
    images = torch.rand(3, 2, 12, 12, generator=torch.Generator().manual_seed(0))
    change = resized_crop(least=0.1, most=0.5)
    small = change.several(images, 5, (4, 4), torch.Generator().manual_seed(1))
    assert small.shape == (3, 5, 2, 4, 4)
    drawn = boxes(images[:1].expand(15, -1, -1, -1), 0.1, 0.5, 4 / 3, torch.Generator().manual_seed(1))
    for number, (top, left, h, w) in enumerate(zip(*(part.tolist() for part in drawn), strict=True)):
        example, which = divmod(number, 5)
        expected = cut_by_hand(images[example].double().numpy(), top, left, h, w, 4)
        np.testing.assert_allclose(small[example, which].numpy(), expected, atol=1e-6)
        assert 0.05 < h * w / 144 < 0.65


def test_small_views_stand_beside_the_large_ones_which_stay_as_they_were() -> None:
    plain = open_stream({"name": "views", "source": "bars"})
    stream = open_stream({"name": "views", "source": "bars", "crops": 3})
    t = Clock(seed=2, epoch=1)
    whole, rest = list(stream.batches("train", t)), list(stream.batches("train", t, skip=1))
    for batch, other in zip(whole, plain.batches("train", t), strict=True):
        assert torch.equal(batch["input"], other["input"])
        assert torch.equal(batch["view"], other["view"])
        assert batch["local"].shape == (len(batch["input"]), 3, 1, 4, 4)
        parts = batch["local"].flatten(2)
        assert not any(torch.equal(parts[:, i], parts[:, j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    for a, b in zip(whole[1:], rest, strict=True):
        assert torch.equal(a["local"], b["local"])


def test_changes_that_are_no_crops_reach_the_small_views() -> None:
    local: dict[str, torch.Tensor] = {}
    for name, augment in (("plain", ["crop"]), ("inverted", [{"name": "invert", "p": 1.0}])):
        stream = open_stream({"name": "views", "source": "bars", "crops": 2, "augment": augment})
        local[name] = next(stream.batches("train", Clock(0)))["local"]
    torch.testing.assert_close(local["inverted"], 1 - local["plain"])


@pytest.mark.parametrize(("side", "size"), [(8, 4), (28, 16), (32, 16), (48, 24), (96, 48)])
def test_small_views_are_about_half_as_wide(side: int, size: int) -> None:
    x = np.zeros((40, 1, side, side), np.float32)
    source = {"name": "arrays", "inputs": x, "targets": np.arange(40) % 2}
    stream = open_stream({"name": "views", "source": source, "crops": 1, "augment": []})
    assert stream.crop_size == size


def test_small_views_of_what_is_no_image_or_too_large_are_refused() -> None:
    with pytest.raises(UserError, match="crops on inputs of kind vector; expected images"):
        open_stream({"name": "views", "source": "iris", "crops": 2})
    with pytest.raises(UserError, match="crop_size=9 of images of 8 pixels; expected at most 8"):
        open_stream({"name": "views", "source": "bars", "crops": 2, "crop_size": 9})
    with pytest.raises(UserError, match="at least 2 to compare"):
        open_stream({"name": "views", "source": "bars", "batch_size": 1})
