"""Augmentations: every example draws its own parameters, and draws are a function of the key alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar import registry
from thetastar.data.augment.affine import affine
from thetastar.data.augment.crop import crop
from thetastar.data.augment.flip import flip
from thetastar.data.augment.moving import joined
from thetastar.data.augment.noise import noise
from thetastar.data.augment.rand_augment import KINDS, rand_augment
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.functional.keys import generator
from thetastar.functional.pictures import on_some
from thetastar.functional.tones import solarised
from thetastar.protocols import Augment, Clock

NAMES = sorted(registry.entries("data/augment"))
FEW = {"flip": 2, "greyscale": 2, "invert": 2, "autocontrast": 2, "equalise": 2, "posterise": 6}  # versions of an image


def images(rows: int = 64) -> torch.Tensor:
    return torch.rand(rows, 3, 8, 8, generator=generator("images"))


def test_these_are_registered() -> None:
    assert {"crop", "flip", "colour", "affine", "erase", "blur", "rand_augment", "noise"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_keeps_shape_and_range_and_leaves_its_input_alone(name: str) -> None:
    change: Augment = registry.build("data/augment", name)
    x = images()
    before = x.clone()
    y = change(x, generator("a"))
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert y.min() >= 0
    assert y.max() <= 1
    torch.testing.assert_close(x, before, rtol=0, atol=0)
    assert not torch.equal(y, x)


@pytest.mark.parametrize("name", NAMES)
def test_equal_keys_give_equal_draws_and_the_default_generator_is_left_alone(name: str) -> None:
    change: Augment = registry.build("data/augment", name)
    state = torch.default_generator.get_state()
    assert torch.equal(change(images(), generator("a")), change(images(), generator("a")))
    assert not torch.equal(change(images(), generator("a")), change(images(), generator("b")))
    assert torch.equal(torch.default_generator.get_state(), state)
    torch.manual_seed(3)
    first = change(images())
    torch.manual_seed(3)
    assert torch.equal(change(images()), first)


@pytest.mark.parametrize("name", NAMES)
def test_each_example_draws_its_own_parameters(name: str) -> None:
    """The same image many times over comes out in several versions."""
    same = images(1).expand(200, -1, -1, -1).contiguous()
    versions = {y.numpy().tobytes() for y in registry.build("data/augment", name)(same, generator("a"))}
    assert len(versions) >= FEW.get(name, 9)
    assert len(versions) <= FEW.get(name, 200)


def test_crop_is_a_crop_of_the_padded_image_by_every_offset_alike() -> None:
    x = images(1)
    padded = np.pad(x[0].numpy(), ((0, 0), (1, 1), (1, 1)))
    crops = {padded[:, i : i + 8, j : j + 8].tobytes(): 0 for i in range(3) for j in range(3)}
    for y in crop(share=1 / 8)(x.expand(1800, -1, -1, -1), generator("a")):
        crops[y.contiguous().numpy().tobytes()] += 1  # a KeyError is an image that is no crop
    counts = np.array(list(crops.values()))
    assert len(counts) == 9
    assert ((counts - 200) ** 2 / 200).sum() < 26.1  # χ² with 8 degrees of freedom, p = 0.001


def test_crop_moves_rows_and_columns_of_unequal_sides() -> None:
    x = torch.zeros(500, 1, 6, 10)
    x[:, :, 3, 5] = 1.0
    y = crop(share=1 / 3)(x, generator("a"))
    place = y.flatten(1).argmax(1)
    assert torch.equal(y.sum((1, 2, 3)), torch.ones(500))
    assert set((place // 10).tolist()) == {1, 2, 3, 4, 5}
    assert set((place % 10).tolist()) == {3, 4, 5, 6, 7}


def test_flip_mirrors_the_share_that_it_says() -> None:
    x = images(1).expand(2000, -1, -1, -1)
    y = flip(p=0.3)(x, generator("a"))
    mirrored = (y == x.flip(-1)).flatten(1).all(1)
    assert torch.equal(y[~mirrored], x[~mirrored])
    assert abs(mirrored.float().mean() - 0.3) < 4 * (0.3 * 0.7 / 2000) ** 0.5
    assert torch.equal(flip(p=1.0)(x), x.flip(-1))
    assert torch.equal(flip(p=0.0)(x), x)


def test_noise_has_the_deviation_that_it_says_and_clips_images_only() -> None:
    vectors = torch.full((2000, 5), 7.0)
    drawn = noise(std=0.5)(vectors, generator("a")) - vectors
    assert abs(drawn.std() - 0.5) < 0.02
    assert abs(drawn.mean()) < 0.02
    assert torch.equal(noise(std=0.0)(vectors), vectors)


def test_what_makes_no_sense_is_refused_in_one_line() -> None:
    for change in (crop(), flip(), affine()):
        with pytest.raises(UserError, match="expected images"):
            change(torch.zeros(4, 3))
    with pytest.raises(UserError, match="int64"):
        noise()(torch.zeros(4, 3, dtype=torch.int64))
    with pytest.raises(UserError, match="uint8"):
        affine()(torch.zeros(4, 3, 8, 8, dtype=torch.uint8))
    for spec in ({"name": "affine", "least": 2.0}, {"name": "blur", "least": 3.0}, {"name": "erase", "least": 0.9}):
        with pytest.raises(UserError, match="at most"):
            registry.build("data/augment", spec)
    with pytest.raises(UserError, match="< 45"):
        registry.build("data/augment", {"name": "shear", "degrees": 45})


def sequence(names: str) -> list[Augment]:
    return [registry.build("data/augment", name) for name in names.split()]


@pytest.mark.parametrize("names", ["crop flip", "flip crop flip", "crop crop"])
def test_moves_of_whole_pixels_are_one_gather_with_the_result_of_one_after_the_other(names: str) -> None:
    changes = sequence(names)
    source, x = generator("a"), images()
    for change in changes:
        x = change(x, source)
    (one,) = joined(changes)
    assert torch.equal(one(images(), generator("a")), x)


@pytest.mark.shows("O10")
def test_neighbours_are_joined_where_that_costs_one_resampling() -> None:
    kinds = [
        len(joined(sequence(names))) for names in ("rotate flip shear", "crop flip rotate scale", "flip noise flip")
    ]
    assert kinds == [1, 2, 3]
    edge = registry.build("data/augment", {"name": "rotate", "fill": "edge"})
    assert len(joined([edge, affine()])) == 2  # what comes in from beyond cannot be both


def test_maps_that_undo_one_another_lose_nothing_in_one_resampling() -> None:
    """One after the other they blur twice; as one they are the identity."""
    half = {"name": "scale", "least": 0.5, "most": 0.5}
    double = {"name": "scale", "least": 2.0, "most": 2.0}
    changes = [registry.build("data/augment", spec) for spec in (half, double)]
    x = images()
    (one,) = joined(changes)
    torch.testing.assert_close(one(x, generator("a")), x, rtol=0, atol=1e-5)
    assert (changes[1](changes[0](x)) - x).abs().mean() > 0.05


def test_rand_augment_draws_every_kind_for_every_example_alike() -> None:
    """The kinds of two rounds are independent: all pairs come about as often."""
    drawn: list[torch.Tensor] = []

    class spy(rand_augment):
        def changed(self, x: torch.Tensor, kind: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
            drawn.append(kind)
            return x

    spy()(torch.zeros(19600, 1, 2, 2), generator("a"))
    counts = torch.bincount(drawn[0] * len(KINDS) + drawn[1], minlength=len(KINDS) ** 2).double()
    assert len(counts) == 196
    assert ((counts - 100) ** 2 / 100).sum() < 260  # χ² with 195 degrees of freedom, p = 0.001


def test_some_or_all_examples_computed_is_the_same() -> None:
    """On other devices all examples are changed and some kept; the CPU changes those alone."""
    x, which, amount = images(), torch.arange(64) % 3 == 0, torch.rand(64, generator=generator("b"))
    found = on_some(x.clone(), which, solarised, amount)
    assert torch.equal(found, torch.where(which.view(-1, 1, 1, 1), solarised(x, amount), x))
    assert not torch.equal(found, x)


def test_resident_augments_training_batches_only_and_a_pass_can_be_entered_anywhere() -> None:
    plain, changed = open_stream("bars"), open_stream({"name": "bars", "augment": ["crop", "noise"]})
    t = Clock(seed=3, epoch=2)
    for split in ("valid", "test"):
        for a, b in zip(plain.batches(split, t), changed.batches(split, t), strict=True):
            assert torch.equal(a["input"], b["input"])
    whole = [batch["input"] for batch in changed.batches("train", t)]
    rest = [batch["input"] for batch in changed.batches("train", t, skip=2)]
    assert all(torch.equal(a, b) for a, b in zip(whole[2:], rest, strict=True))
    before = next(plain.batches("train", t))
    after = next(changed.batches("train", t))
    assert torch.equal(before["index"], after["index"])
    assert not torch.equal(before["input"], after["input"])
    other = {batch["input"].sum().item() for batch in changed.batches("train", Clock(seed=3, epoch=3))}
    assert not other & {x.sum().item() for x in whole}


def test_one_augmentation_may_be_written_without_a_list() -> None:
    assert open_stream({"name": "bars", "augment": "noise"}).spec["augment"] == [{"name": "noise", "std": 0.1}]
