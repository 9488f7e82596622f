"""Arrays in Python: the task is read right, moments are those of the training rows, units stay the user's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from thetastar.data.arrays import arrays
from thetastar.data.resident import resident
from thetastar.errors import UserError

random = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("targets", "kind", "said"),
    [
        ([0, 1, 2] * 4, "category", "classification into 3 classes, from the integer target"),
        (["a", "b"] * 6, "category", "classification into 2 classes, from the word target"),
        ([True, False] * 6, "category", "classification into 2 classes, from the boolean target"),
        (np.arange(12) / 7, "number", "regression of one number, from the real target"),
        (np.eye(12)[:, :3].astype(int), "categories", "multi-label classification into 3 classes, from 0/1 targets"),
        (random.normal(size=(12, 2)), "number", "regression of 2 numbers, from the real target"),
    ],
)
def test_the_task_is_read_off_the_targets(targets: Any, kind: str, said: str) -> None:
    source = arrays(inputs=np.zeros((12, 2)), targets=targets)
    assert source.target.kind == kind
    assert source.said == [said]


@pytest.mark.parametrize("shape", [(50, 3), (50, 2, 30, 40), (7000, 1, 8, 8)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_moments_are_those_of_the_training_rows(shape: tuple[int, ...], kind: Any) -> None:
    x = random.integers(0, 256, shape).astype(kind)
    source = arrays(inputs=x, targets=np.arange(shape[0]) % 2)
    train = random.permutation(shape[0])[: shape[0] // 2]
    schema, _ = source.prepare(train)
    unit = 255 if kind == np.uint8 and len(shape) == 4 else 1
    axes = (0, 2, 3) if len(shape) == 4 else 0
    chosen = x[train].astype(np.float64) / unit
    np.testing.assert_allclose(schema.input.mean, chosen.mean(axes))
    np.testing.assert_allclose(schema.input.std, chosen.std(axes))
    assert schema.target.counts == tuple(np.bincount(np.arange(shape[0])[train] % 2))


@pytest.mark.parametrize("shape", [(20, 3), (20, 3, 4, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64, np.int64])
def test_predicting_reads_inputs_as_training_does(shape: tuple[int, ...], kind: Any) -> None:
    x = random.integers(0, 2, shape).astype(kind)
    stream = resident(source=arrays(inputs=x, targets=np.arange(20) % 2))
    stored = arrays.restore(json.loads(json.dumps(stream.source.state())))
    batch = stream.sample("train", 5)
    torch.testing.assert_close(stored.transform(x[batch["index"].numpy()])["input"], batch["input"])


def test_fingerprints_tell_contents_apart() -> None:
    x, y = random.normal(size=(6, 2)), [0, 1] * 3
    assert arrays(inputs=x, targets=y).fingerprint == arrays(inputs=x.copy(), targets=y).fingerprint
    assert arrays(inputs=x, targets=y).fingerprint != arrays(inputs=x + 1, targets=y).fingerprint
    assert arrays(inputs=x, targets=y).fingerprint != arrays(inputs=x, targets=y[::-1]).fingerprint


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (np.zeros(3), [0, 1, 0], r"inputs of shape \(3,\)"),
        (np.zeros((0, 2)), [], r"inputs of shape \(0, 2\)"),
        (np.zeros((3, 2)), [0, 1], "3 inputs and 2 targets"),
        (np.zeros((3, 2)), [0, 0, 0], "one value"),
        (np.zeros((3, 2)), [0.5, np.nan, 1.5], "1 targets are NaN"),
        (np.zeros((3, 2)), [0.5, 0.5, 0.5], "constant"),
    ],
)
def test_bad_arrays_are_refused(inputs: Any, targets: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        arrays(inputs=inputs, targets=targets)
