"""Moving digits: clips are what a walk pixel by pixel makes, and each question is answered better than by pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from thetastar import equation
from thetastar.data.arrays import arrays
from thetastar.data.moving_digits import INK, Scene, bounced, in_some_order, moving_digits
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.recipe import Recipe

Array = NDArray[Any]


def spots(count: int = 40) -> Any:
    """Grey images whose brightness tells them apart."""
    images = np.linspace(0.4, 1, count, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 3, 2), np.float32)
    return arrays(inputs=images, targets=np.arange(count) % 2, title="spots")


def columns(source: Any) -> tuple[Array, Array]:
    made = source.prepare(source.given["train"])[1]
    return made["input"].numpy(), made["target"].numpy()


# --- the generator ----------------------------------------------------------------------------------------------------


def test_places_are_those_of_a_walk_that_turns_at_the_edges() -> None:
    random = np.random.default_rng(0)
    room = np.array([7, 4])
    start, velocity = random.integers(0, room + 1, (50, 2)), random.integers(-3, 4, (50, 2))
    places = bounced(start, velocity, 30, room)
    for row in range(50):
        for axis in range(2):
            place, step = start[row, axis], velocity[row, axis]
            for frame in range(30):
                assert places[row, frame, axis] == place
                for _ in range(abs(step)):  # a pixel at a time, turning where the next would be outside
                    direction = np.sign(step)
                    if not 0 <= place + direction <= room[axis]:
                        step = -step
                        direction = -direction
                    place += direction


def test_frames_show_the_brightest_digit_at_each_pixel() -> None:
    random = np.random.default_rng(1)
    images = random.random((5, 3, 2)).astype(np.float32)
    scene = Scene.drawn(images, random.integers(0, 5, (8, 3)), 9, 6, 2, random)
    clips = scene.clips()
    assert clips.shape == (8, 6, 9, 9)
    for row in range(8):
        for frame in range(6):
            expected = np.zeros((9, 9), np.float32)
            for image, (down, across) in zip(
                scene.images[row], [scene.places[row, frame], *scene.others[row]], strict=True
            ):
                part = expected[down : down + 3, across : across + 2]
                part[:] = np.maximum(part, image)
            np.testing.assert_array_equal(clips[row, frame], expected)


def test_something_always_moves_by_whole_pixels() -> None:
    scene = Scene.drawn(np.ones((1, 3, 3), np.float32), np.zeros((300, 2), int), 12, 5, 1, np.random.default_rng(0))
    steps = np.abs(np.diff(scene.places, axis=1))
    assert steps.max() == 1
    assert (steps.sum(2) > 0).all()


def test_equal_seeds_give_equal_clips_and_others_other_ones() -> None:
    prints = [moving_digits(source=spots(), rows=40, seed=seed).fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_shuffled_clips_run_neither_forwards_nor_backwards() -> None:
    clips = np.arange(4, dtype=np.uint8)[None, :, None, None].repeat(200, 0)
    found, labels = in_some_order(clips, np.random.default_rng(0))
    assert labels.sum() == 100
    orders = {tuple(clip[:, 0, 0]) for clip in found[labels == 0]}
    assert len(orders) == 22  # of 24
    assert not orders & {(0, 1, 2, 3), (3, 2, 1, 0)}
    assert {tuple(clip[:, 0, 0]) for clip in found[labels == 1]} == {(0, 1, 2, 3)}


def test_targets_are_the_following_frame_and_what_moves() -> None:
    """Without noise or others: the mask is the ink of the last frame, the target what moves on from there."""
    common: dict[str, Any] = {"source": spots(), "rows": 60, "noise": 0.0, "still": 0, "seed": 3}
    clips, following = columns(moving_digits(task="next", **common))
    clips_again, masks = columns(moving_digits(task="motion", **common))
    np.testing.assert_array_equal(clips, clips_again)
    np.testing.assert_array_equal(masks, clips[:, -1] > 255 * INK)
    next_frames = following.reshape(60, 6, 6)
    np.testing.assert_allclose(next_frames.sum((1, 2)), clips[:, -1].sum((1, 2)) / 255, atol=0.02)

    def corner(frames: Array) -> Array:
        return np.stack([(frames.max(2) > 0).argmax(1), (frames.max(1) > 0).argmax(1)], 1)

    first, before, last = (corner(clips[:, frame]) for frame in (-3, -2, -1))
    on = 2 * last - before
    straight = (last - before == before - first).all(1) & (on >= 0).all(1) & (on <= [3, 4]).all(1)
    assert straight.sum() > 5
    np.testing.assert_array_equal(corner(next_frames)[straight], on[straight])


def test_clips_of_a_split_are_made_of_digits_of_that_split() -> None:
    source = moving_digits(source=spots(), rows=300, noise=0.0, still=0)
    clips, _ = columns(source)
    assert source.given is not None
    assert [len(source.given[split]) for split in ("train", "valid", "test")] == [210, 30, 60]
    shown = {split: set(np.unique(clips[rows].max((1, 2, 3)))) for split, rows in source.given.items()}
    assert sum(map(len, shown.values())) == len(set().union(*shown.values())) > 30


def test_what_leaves_no_room_or_has_colours_is_refused() -> None:
    with pytest.raises(UserError, match=r"data.size=8 for images of 8×8 at a speed of 2.*to 10 at least"):
        open_stream({"name": "moving_digits", "size": 8})
    with pytest.raises(UserError, match="choose digits or mnist"):
        open_stream({"name": "moving_digits", "source": "blobs"})


# --- each question, against pixels ------------------------------------------------------------------------------------


def fitted(seed: int, task: str, model: Any, measure: str, steps: int, **changes: Any) -> tuple[float, Any]:
    recipe = Recipe(
        data={"name": "moving_digits", "task": task, "rows": 1000, "seed": seed, **changes},
        model=model,
        algorithm={"name": "adamw", "lr": 4e-3},
        measures=[measure],
        budget={"steps": steps},
        engine={"evaluations": 0, "precision": "float32"},
        seed=seed,
    )
    run = equation.fit(recipe)
    return run.values[measure], run.stream


def of(stream: Any, split: str) -> tuple[Array, Array]:
    batch = stream.examples(split)
    return batch["input"].numpy(), batch["target"].numpy()


@pytest.mark.shows("L7")
@pytest.mark.parametrize("seed", range(2))
def test_order_is_told_where_pixels_and_the_sum_of_differences_tell_little(seed: int) -> None:
    model = {"name": "cnn", "channels": [16, 32], "hidden": 64}
    accuracy, stream = fitted(seed, "order", model, "accuracy", 150)
    linear, _ = fitted(seed, "order", "softmax", "accuracy", 100)
    (x, y), (seen, truth) = of(stream, "train"), of(stream, "valid")
    change, found = (np.square(np.diff(clip, axis=1)).sum((1, 2, 3)) for clip in (x, seen))
    threshold = max(change, key=lambda value: ((change < value) == y).mean())
    differences = ((found < threshold) == truth).mean()
    assert accuracy > 0.1 + max(linear, differences)


@pytest.mark.shows("L7")
@pytest.mark.parametrize("seed", range(2))
def test_the_next_frame_is_nearer_than_the_last_one_and_than_going_on_in_brightness(seed: int) -> None:
    error, stream = fitted(seed, "next", {"name": "mlp", "widths": [256]}, "mse", 200, noise=0.0)
    clips, following = of(stream, "valid")
    (_, before) = of(stream, "train")
    last, one_before = (clips[:, -n].reshape(len(clips), -1) for n in (1, 2))
    guesses = {"last": last, "linear": (2 * last - one_before).clip(0, 1), "mean": before.mean(0)}
    errors = {name: np.square(guess - following).mean() for name, guess in guesses.items()}
    assert error < 0.9 * min(errors.values())


@pytest.mark.shows("L7")
@pytest.mark.parametrize("seed", range(2))
def test_what_moves_is_found_better_than_by_the_difference_of_frames(seed: int) -> None:
    iou, stream = fitted(seed, "motion", {"name": "unet", "width": 8, "depth": 2, "norm": "batch"}, "mean_iou", 150)
    (x, y), (seen, truth) = of(stream, "train"), of(stream, "valid")

    def changed(clips: Array, least: float, ink: float) -> Array:
        return (np.abs(clips[:, -1] - clips[:, -2]) > least) & (clips[:, -1] > ink)

    def overlap(said: Array, there: Array) -> float:
        return float(np.mean([(a & b).sum() / (a | b).sum() for a, b in ((said, there), (~said, ~there))]))

    grid = [(least, ink) for least in np.linspace(0, 0.6, 7) for ink in np.linspace(0, 0.6, 7)]
    best = max(grid, key=lambda pair: overlap(changed(x, *pair), y == 1))
    baseline = overlap(changed(seen, *best), truth == 1)
    assert iou > baseline + 0.05
