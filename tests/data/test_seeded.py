"""Each part of a batch is the batch that a run with that seed gets from the stream within."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from thetastar.data.seeded import Seeded
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.protocols import Clock

SEEDS = (3, 0, 8)
SOURCE = {"name": "bars", "rows": 90}


def part(x: Any, k: int) -> Any:
    return {name: part(value, k) for name, value in x.items()} if isinstance(x, Mapping) else x[k]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return set(one) == set(other) and all(same(value, other[name]) for name, value in one.items())
    return torch.equal(one, other)


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "resident"},
        {"name": "resident", "drop_last": True},
        {"name": "resident", "augment": ["crop", "noise"]},
        {"name": "resident", "source": {"name": "shapes", "rows": 50, "size": 16}, "augment": ["crop", "flip"]},
        {"name": "views"},
    ],
    ids=["plain", "whole batches", "augmented", "masks", "views"],
)
@pytest.mark.parametrize("skip", [0, 2])
def test_every_seed_has_its_own_order_and_its_own_changes(spec: dict[str, Any], skip: int) -> None:
    inner: Any = open_stream({"source": SOURCE, "batch_size": 16, **spec})
    together = list(Seeded(inner, SEEDS).batches("train", Clock(5, epoch=2), skip))
    assert len(together) == inner.length("train") - skip
    for k, seed in enumerate(SEEDS):
        alone = list(inner.batches("train", Clock(seed, epoch=2), skip))
        assert len(alone) == len(together)
        assert all(same(part(batch["members"], k), own) for batch, own in zip(together, alone, strict=True))


def test_valid_and_test_are_those_of_the_stream_and_a_batch_is_no_plain_one() -> None:
    inner: Any = open_stream({"name": "resident", "source": SOURCE, "batch_size": 16})
    stream = Seeded(inner, SEEDS)
    for split in ("valid", "test"):
        assert stream.size(split) == inner.size(split)
        batches = zip(stream.batches(split, Clock(1)), inner.batches(split, Clock(1)), strict=True)
        assert all(same(one, other) for one, other in batches)
    assert stream.fingerprint == inner.fingerprint
    with pytest.raises(UserError, match="method=population"):
        next(stream.batches("train", Clock(1)))["input"]
