"""Entropy minimisation: the loss and its gradient by hand, and what it is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.methods import few

from thetastar.protocols import Clock


@pytest.mark.parametrize(("step", "share"), [(0, math.exp(-5)), (15, math.exp(-1.25)), (30, 1.0)])
def test_the_loss_and_its_gradient_by_hand(step: int, share: float) -> None:
    """∂H/∂z_c = −p_c (log p_c + H): what a fixed p or a fixed log p would not give."""
    stream, program = few.assembled({"name": "entropy_minimisation", "weight": 2.0})
    batch, f = few.first_batch(stream), program.f
    p, y = few.probabilities(f, batch["unlabelled"]["input"]), batch["target"].numpy()
    entropy = -(p * np.log(p)).sum(1, keepdims=True)
    few_p = few.probabilities(f, batch["input"])
    value, aux = few.said(program, batch, Clock(0, step=step, steps=100))
    np.testing.assert_allclose(value.item(), few.surprise(few_p, y) + 2 * share * entropy.mean(), rtol=1e-9)
    np.testing.assert_allclose(aux.log["entropy"].item(), entropy.mean(), rtol=1e-9)
    value.backward()
    slope = -p * (np.log(p) + entropy)
    expected = (few_p - np.eye(4)[y]).mean(0) + 2 * share * slope.mean(0)
    np.testing.assert_allclose(f.head.bias.grad, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.shows("L1")
def test_it_beats_the_few_labels_alone_where_there_are_gaps_between_classes() -> None:
    gain = few.gains("entropy_minimisation", "blobs")
    assert few.clear(gain)
    assert gain.mean() > 0.02
