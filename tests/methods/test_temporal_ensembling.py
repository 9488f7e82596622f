"""Temporal ensembling: beside a plain loop over epochs, who writes the memory when, and what it is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.methods import few

from thetastar import equation
from thetastar.protocols import Clock

# 64 training rows in batches of 16: every one comes up once an epoch
WHOLE = {**few.BARS, "source": {"name": "bars", "rows": 128}, "valid": 0.25, "test": 0.25, "batch_size": 16}


def test_three_epochs_are_those_of_a_plain_loop() -> None:
    """As in the paper: Z is updated at the end of an epoch, and divided by 1 − α^epoch before the next."""
    stream, program = few.assembled({"name": "temporal_ensembling", "weight": 3.0, "ramp": 0.5}, WHOLE)
    alpha, f = 0.6, program.f
    average, target = np.zeros((128, 4)), np.zeros((128, 4))
    for epoch in range(3):
        said = np.zeros((128, 4))
        for number, batch in enumerate(stream.batches("train", Clock(0, epoch=epoch))):
            t = Clock(0, step=4 * epoch + number, steps=12, epoch=epoch)
            batch = few.doubled(batch)
            value, aux = few.said(program, batch, t)
            labelled = few.surprise(few.probabilities(f, batch["input"]), batch["target"].numpy())
            z = few.probabilities(f, batch["unlabelled"]["input"])
            off = []
            for row, index in enumerate(batch["unlabelled"]["index"].tolist()):
                said[index] = z[row]
                off.append(((z[row] - target[index]) ** 2).sum() if epoch else 0.0)
            w = 3 * math.exp(-5 * (1 - min(t.step / 6, 1)) ** 2)
            np.testing.assert_allclose(value.item(), labelled + w * np.mean(off), rtol=1e-6)
            program.method.observe(f, {"loss": aux}, t)
            with torch.no_grad():  # the next step sees another net
                for parameter in f.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
        average = alpha * average + (1 - alpha) * said
        target = average / (1 - alpha ** (epoch + 1))
    seen = program.method.times > 0
    assert int(seen.sum()) == 64
    np.testing.assert_allclose(program.method.memory, average, rtol=1e-5, atol=1e-7)
    assert (program.method.times[seen] == 3).all()


def test_the_memory_moves_in_observe_only_and_gets_no_gradient() -> None:
    stream, program = few.assembled("temporal_ensembling", WHOLE)
    batch, t = few.first_batch(stream), Clock(0, step=90, steps=100)
    method, index = program.method, batch["unlabelled"]["index"]
    _, aux = few.said(program, batch, t)
    assert not method.memory.any()
    assert not method.times.any()
    method.observe(program.f, {"loss": aux}, t)
    assert not method.memory.requires_grad
    assert sorted(method.times.nonzero().flatten().tolist()) == sorted(index.tolist())
    with torch.no_grad():
        program.f.head.weight.add_(torch.randn_like(program.f.head.weight))
    z = few.probabilities(program.f, batch["unlabelled"]["input"])
    before = method.remembered(index)[0].numpy()
    np.testing.assert_allclose(before, aux.carry["z"], rtol=1e-6)  # after one time it is what was said then

    def by_hand(f: object) -> float:
        labelled = few.surprise(few.probabilities(f, batch["input"]), batch["target"].numpy())
        return labelled + 10 * ((few.probabilities(f, batch["unlabelled"]["input"]) - before) ** 2).sum(1).mean()

    assert np.abs(z - before).max() > 0.01
    value, _ = few.said(program, batch, t)
    value.backward()
    expected = few.slope_of_bias(program.f, by_hand)
    np.testing.assert_allclose(program.f.head.bias.grad, expected, rtol=1e-5, atol=1e-7)


def test_a_run_fills_the_memory_once_an_epoch() -> None:
    given = few.recipe("temporal_ensembling", WHOLE, budget={"steps": 8}, engine={"evaluations": 0})
    method = equation.fit(given).program.method
    assert int((method.times == 2).sum()) == 64
    assert method.memory.shape == (128, 4)


@pytest.mark.shows("L1")
def test_it_beats_the_few_labels_alone() -> None:
    gain = few.gains("temporal_ensembling", "bars")
    assert few.clear(gain)
    assert gain.mean() > 0.06
