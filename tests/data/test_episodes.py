"""Tasks: classes split apart, no example on both sides, waves that are waves."""

from __future__ import annotations

import math
from itertools import islice

import pytest
import torch

from thetastar.data.episodes import split_classes
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.protocols import Clock

T = Clock(2)
DIGITS = {"name": "episodes", "source": "digits", "ways": 3, "shots": 2, "queries": 4, "tasks": 5, "trials": 12}


def test_no_class_is_in_two_splits_and_all_are_in_one() -> None:
    found = split_classes(20, 4, 0.25, 0.3, seed=1)
    assert [len(found[split]) for split in ("train", "valid", "test")] == [9, 5, 6]
    assert sorted(torch.cat(list(found.values())).tolist()) == list(range(20))


def test_a_task_has_ways_classes_of_its_split_and_shares_no_example_between_support_and_query() -> None:
    stream = open_stream(DIGITS)
    owner = {
        tuple(x.flatten().tolist()): int(y) for x, y in zip(*map(stream.columns.get, ("input", "target")), strict=True)
    }
    for split in ("train", "valid", "test"):
        allowed = set(stream.classes[split].tolist())
        for batch in islice(stream.batches(split, T), 2):
            assert batch["support"]["input"].shape == (5, 6, 1, 8, 8)
            assert batch["query"]["target"].shape == (5, 12)
            for task in range(5):
                meaning: dict[int, set[int]] = {}
                for part in ("support", "query"):
                    for x, y in zip(batch[part]["input"][task], batch[part]["target"][task], strict=True):
                        meaning.setdefault(int(y), set()).add(owner[tuple(x.flatten().tolist())])
                assert sorted(meaning) == [0, 1, 2]
                assert all(len(classes) == 1 for classes in meaning.values())
                chosen = set.union(*meaning.values())
                assert len(chosen) == 3
                assert chosen <= allowed
                asked = {tuple(x.flatten().tolist()) for x in batch["query"]["input"][task]}
                assert not asked & {tuple(x.flatten().tolist()) for x in batch["support"]["input"][task]}


def test_held_out_tasks_are_always_the_same_and_training_ones_never() -> None:
    stream = open_stream(DIGITS)
    one, two = (next(stream.batches("valid", Clock(seed))) for seed in (0, 1))
    assert torch.equal(one["input"], two["input"])
    sizes = [len(batch["support"]["input"]) for batch in stream.batches("valid", T)]
    assert sizes == [5, 5, 2]
    first, later = next(stream.batches("train", Clock(0))), next(stream.batches("train", Clock(0, epoch=1)))
    assert not torch.equal(first["input"], later["input"])


def test_too_few_classes_and_data_without_classes_are_refused() -> None:
    with pytest.raises(UserError, match=r"lower data\.ways"):
        open_stream({**DIGITS, "ways": 4})
    with pytest.raises(UserError, match="choose a classification set"):
        open_stream({"name": "episodes", "source": "diabetes"})


def test_every_sinusoid_is_one_wave_and_the_stated_moments_hold() -> None:
    stream = open_stream({"name": "sinusoids", "shots": 6, "queries": 7, "tasks": 2000})
    batch = next(stream.batches("train", T))
    x = torch.cat([batch[part]["input"][..., 0] for part in ("support", "query")], 1).double()
    y = torch.cat([batch[part]["target"] for part in ("support", "query")], 1).double()
    # A sin(x − φ) = a sin x + b cos x: least squares leaves nothing
    design = torch.stack([x.sin(), x.cos()], -1)
    weights = torch.linalg.lstsq(design, y[..., None]).solution
    assert ((design @ weights)[..., 0] - y).abs().max() < 1e-4
    amplitude = weights[:, :, 0].norm(dim=1)
    assert amplitude.min() >= 0.1 - 1e-3
    assert amplitude.max() <= 5 + 1e-3
    phase = torch.atan2(-weights[:, 1, 0], weights[:, 0, 0])
    assert (phase >= -1e-3).all()
    assert phase.max() <= math.pi + 1e-3
    assert y.square().mean().sqrt().item() == pytest.approx(stream.schema.target.std[0], rel=0.05)
    assert x.std().item() == pytest.approx(stream.schema.input.std[0], rel=0.02)
