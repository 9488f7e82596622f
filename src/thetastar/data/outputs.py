"""Small made-up sets with several answers an example."""

from __future__ import annotations

import numpy as np

from thetastar.data.arrays import arrays
from thetastar.protocols import Source
from thetastar.registry import Count, NonNegative

__all__ = ["arm", "topics"]

SEGMENTS = (1.0, 0.5)  # lengths of the arm's parts, in metres


def arm(*, rows: Count = 600, noise: NonNegative = 0.02, seed: int = 0) -> Source:
    """Regression of two numbers: where the hand of an arm is, (cos a + ½ cos(a + b), sin a + ½ sin(a + b)) + noise.

    a and b are the angles of shoulder and elbow in radians, uniform on [−π/2, π/2].

    Args:
        rows: examples.
        noise: standard deviation added to both coordinates.
        seed: of the draw.
    """
    random = np.random.default_rng(seed)
    angles = random.uniform(-np.pi / 2, np.pi / 2, (rows, 2))
    parts = [length * np.exp(1j * angles[:, : n + 1].sum(1)) for n, length in enumerate(SEGMENTS)]
    hand = np.stack([np.real(sum(parts)), np.imag(sum(parts))], 1) + noise * random.standard_normal((rows, 2))
    return arrays(inputs=angles.astype(np.float32), targets=hand.astype(np.float32), title="arm")


def topics(*, rows: Count = 600, labels: Count = 4, words: Count = 20, length: Count = 30, seed: int = 0) -> Source:
    """Several labels: counts of words in texts about some of a few topics; every topic is there in 4 of 10 texts.

    Args:
        rows: texts.
        labels: topics, each a random distribution over the words.
        words: of the vocabulary.
        length: mean number of words a text.
        seed: of the draw.

    Source: the model of Ueda and Saito 2003, Parametric mixture models for multi-labeled text.
    """
    random = np.random.default_rng(seed)
    there = random.random((rows, labels)) < 0.4
    spoken = random.dirichlet(np.full(words, 0.3), labels + 1)  # the last is what every text speaks of
    mixture = np.concatenate([there, np.full((rows, 1), 0.5)], 1)
    mixture = mixture / mixture.sum(1, keepdims=True)
    counts = random.poisson(length * mixture @ spoken)
    names = tuple(f"topic {number + 1}" for number in range(labels))
    return arrays(inputs=counts.astype(np.float32), targets=there.astype(np.int64), names=names, title="topics")
