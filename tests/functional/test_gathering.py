"""What learners without steps take in: every labelled example of the training split, once and as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from thetastar.defaults import open_stream
from thetastar.functional.gathering import gathered
from thetastar.protocols import Clock

SHAKEN = [{"name": "noise", "std": 0.5}]


@pytest.mark.parametrize(
    ("spec", "rows"),
    [
        ({"name": "iris"}, 98),
        ({"name": "iris", "batch_size": 30, "drop_last": True}, 98),
        ({"name": "iris", "augment": SHAKEN}, 98),
        ({"name": "views", "source": "iris", "batch_size": 30}, 98),
        ({"name": "few_labels", "source": "iris", "labels": 9, "batch_size": 16}, 9),
    ],
    ids=["plain", "drop_last", "augment", "views", "few_labels"],
)
def test_each_training_example_is_taken_in_once_and_unchanged(spec: dict[str, Any], rows: int) -> None:
    plain, stream = open_stream("iris"), open_stream(spec)
    x, y = gathered(stream, "train", Clock(0))
    again, _ = gathered(stream, "train", Clock(1, epoch=3))
    assert torch.equal(x, again), "what is taken in depends on the seed"
    batch = plain.gather(torch.from_numpy(plain.rows["train"]))
    known = {(*row, label) for row, label in zip(batch["input"].tolist(), batch["target"].tolist(), strict=True)}
    stored = {(*row, label) for row, label in zip(x.tolist(), y.tolist(), strict=True)}
    assert len(x) == rows
    assert stored <= known


def test_a_stream_that_only_passes_is_put_back_into_the_order_of_its_rows() -> None:
    stream = open_stream("iris")
    expected = gathered(stream, "train", Clock(0))

    class Passing:
        def batches(self, *given: Any):
            return stream.batches(*given)

    for found, wanted in zip(gathered(Passing(), "train", Clock(5)), expected, strict=True):
        assert torch.equal(found, wanted)
