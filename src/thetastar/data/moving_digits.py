"""Digits that move and bounce: short clips, with a question about time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray

from thetastar.data.arrays import arrays
from thetastar.errors import UserError
from thetastar.functional.splits import split_rows
from thetastar.protocols import Field, Source
from thetastar.registry import Count, NonNegative, Whole

__all__ = ["moving_digits"]

Images = NDArray[np.float32]
Places = NDArray[np.int64]
INK = 0.3  # from which on a pixel belongs to a digit
SHARES: dict[str, float] = {"train": 0.7, "valid": 0.1, "test": 0.2}


def moving_digits(
    *,
    task: Literal["order", "next", "motion"] = "order",
    source: Source = "digits",  # type: ignore[assignment]
    rows: Annotated[int, Ge(20)] = 1000,
    frames: Annotated[int, Ge(3)] = 4,
    size: Count | None = None,
    speed: Count = 2,
    still: Whole = 1,
    noise: NonNegative = 0.1,
    seed: int = 0,
) -> Source:
    """Clips of a digit that moves straight on and bounces off the edges, before others that stand still.

    The frames of a clip are the channels of an image, the first frame first. "order": are the frames in order, or
    shuffled? (A clip that runs backwards moves just as well: it is never the shuffled one.) "next": the pixels of the
    frame that follows, row by row, as numbers. "motion": which pixels of the last frame belong to what moves. Clips to
    train on, to choose by and to test with are made of different digits.

    Args:
        task: the question.
        source: grey images to move, such as digits or mnist.
        rows: clips, seven tenths of them to train on and two tenths to test with.
        frames: of a clip.
        size: of a frame's sides in pixels; null is twice the side of an image of the source.
        speed: most pixels a frame along either side, at least one along one of them.
        still: digits that do not move.
        noise: standard deviation added to every pixel of every frame before clipping to [0, 1]; a frame that is asked
            for has none.
        seed: of all draws.

    Source: the tasks of Misra, Zitnick and Hebert 2016, Shuffle and learn (order), and Srivastava, Mansimov and
    Salakhutdinov 2015, Unsupervised learning of video representations using LSTMs (next, and the bouncing digits).
    """
    images, pools = digits_of(source, seed)
    side = size or 2 * max(images.shape[1:])
    if side < max(images.shape[1:]) + speed:
        got = f"data.size={side} for images of {images.shape[2]}×{images.shape[1]} at a speed of {speed}"
        raise UserError(got, "room to move", f"enlarge data.size to {max(images.shape[1:]) + speed} at least")
    random = np.random.default_rng(seed)
    counts = {split: round(share * rows) for split, share in SHARES.items()}
    counts["train"] += rows - sum(counts.values())
    chosen = np.concatenate([random.choice(pools[split], (counts[split], 1 + still)) for split in SHARES])
    scene = Scene.drawn(images, chosen, side, frames + 1, speed, random)
    ends = np.cumsum([counts[split] for split in SHARES])
    given = {split: np.arange(end - counts[split], end) for split, end in zip(SHARES, ends, strict=True)}
    made: Any = {"given": given, "title": f"moving {source.name}"}
    clean = scene.clips()
    seen = clean[:, :frames] + noise * random.standard_normal(clean[:, :frames].shape, np.float32)
    clips = (255 * seen.clip(0, 1)).round().astype(np.uint8)
    if task == "next":
        return arrays(inputs=clips, targets=clean[:, frames].reshape(rows, -1), task="regression", **made)
    if task == "motion":
        moving = (scene.mover(frames - 1) > INK).astype(np.uint8)
        return arrays(inputs=clips, targets=moving, task="segmentation", names=("still", "moving"), **made)
    shuffled, labels = in_some_order(clips, random)
    return arrays(inputs=shuffled, targets=labels, names=("shuffled", "in order"), **made)


@dataclass(frozen=True)
class Scene:
    """What is where.

    Shapes: images (rows, 1 + still, height, width), the first of which moves; places (rows, frames, 2) of its upper
    left corner, down and across; others (rows, still, 2).
    """

    images: Images
    places: Places
    others: Places
    side: int

    @classmethod
    def drawn(
        cls, images: Images, chosen: Places, side: int, frames: int, speed: int, random: np.random.Generator
    ) -> Scene:
        rows, each = chosen.shape
        room = side - np.array(images.shape[1:])
        start, others = random.integers(0, room + 1, (rows, 2)), random.integers(0, room + 1, (rows, each - 1, 2))
        velocity = random.integers(-speed, speed + 1, (rows, 2))
        resting = ~velocity.any(1)
        velocity[resting, random.integers(0, 2, resting.sum())] = random.choice([-1, 1], resting.sum())
        return cls(images[chosen], bounced(start, velocity, frames, room), others, side)

    def mover(self, frame: int) -> Images:
        """What moves, alone: (rows, side, side)."""
        return placed(self.images[:, 0], self.places[:, frame], self.side)

    def clips(self) -> Images:
        """(rows, frames, side, side): where digits overlap, the brightest is seen."""
        still = [placed(self.images[:, 1 + n], self.others[:, n], self.side) for n in range(self.others.shape[1])]
        ground = np.max(still, 0) if still else np.float32(0)
        return np.stack([np.maximum(self.mover(frame), ground) for frame in range(self.places.shape[1])], 1)


def bounced(start: Places, velocity: Places, frames: int, room: Places) -> Places:
    """p_t = the triangular wave of start + t v between 0 and room: straight on, and back from the edges.

    Shapes: start, velocity (rows, 2), room (2,) → (rows, frames, 2).
    """
    straight = start[:, None] + np.arange(frames)[:, None] * velocity[:, None]
    there_and_back = straight % np.maximum(2 * room, 1)
    return np.minimum(there_and_back, 2 * room - there_and_back)


def placed(images: Images, places: Places, side: int) -> Images:
    """Each image with its upper left corner at its place on a black square: (rows, side, side)."""
    rows, height, width = images.shape
    ground = np.zeros((rows, side, side), np.float32)
    down, across = places[:, 0, None] + np.arange(height), places[:, 1, None] + np.arange(width)
    ground[np.arange(rows)[:, None, None], down[:, :, None], across[:, None, :]] = images
    return ground


def in_some_order(clips: NDArray[np.uint8], random: np.random.Generator) -> tuple[NDArray[np.uint8], Places]:
    """Half of the clips with their frames in another order, neither forwards nor backwards; 1 where they are in order.

    Frames that look the same may still be exchanged for one another by chance.
    """
    rows, frames = clips.shape[:2]
    labels = (random.permutation(rows) % 2).astype(np.int64)
    straight = np.arange(frames)
    order = np.tile(straight, (rows, 1))
    while (left := (labels == 0) & ((order == straight).all(1) | (order == straight[::-1]).all(1))).any():
        order[left] = random.permuted(order[left], axis=1)
    return np.take_along_axis(clips, order[:, :, None, None], 1), labels


def digits_of(source: Source, seed: int) -> tuple[Images, dict[str, Any]]:
    """The images, (n, height, width) in [0, 1], and which of them each split is made of."""
    schema, columns = source.prepare(np.arange(source.rows))
    field = schema.input
    if not isinstance(field, Field) or field.kind != "image" or field.shape[0] != 1:
        raise UserError(f"data.source={source.name}", "grey images", "choose digits or mnist")
    x = columns["input"][:, 0]
    x = x.to(torch.float32) / (255 if x.dtype == torch.uint8 else 1)
    return x.numpy(), split_rows(source.rows, source.strata, source.given, SHARES["valid"], SHARES["test"], seed)
