"""Pseudo-labels: the loss by hand, when they begin to count, and what they are worth."""

from __future__ import annotations

import numpy as np
import pytest
from tests.methods import few

from thetastar.protocols import Clock


@pytest.mark.parametrize(("step", "share"), [(0, 0), (99, 0), (100, 0), (225, 0.25), (350, 0.5), (600, 1), (999, 1)])
def test_the_loss_by_hand_over_the_schedule(step: int, share: float) -> None:
    stream, program = few.assembled("pseudo_labels")
    batch = few.first_batch(stream)

    def by_hand(f: object) -> float:
        p = few.probabilities(f, batch["unlabelled"]["input"])
        labelled = few.surprise(few.probabilities(f, batch["input"]), batch["target"].numpy())
        return labelled + 3 * share * few.surprise(p, p.argmax(1))

    value, _ = few.said(program, batch, Clock(0, step=step, steps=1000))
    np.testing.assert_allclose(value.item(), by_hand(program.f), rtol=1e-9)
    value.backward()
    np.testing.assert_allclose(program.f.head.bias.grad, few.slope_of_bias(program.f, by_hand), rtol=1e-5, atol=1e-8)


@pytest.mark.shows("L1")
def test_pseudo_labels_beat_the_few_labels_alone() -> None:
    gain = few.gains("pseudo_labels", "blobs")
    assert few.clear(gain)
    assert gain.mean() > 0.02
