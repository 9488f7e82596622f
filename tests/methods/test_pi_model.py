"""The Π-model: the loss by hand, its gradient through both views, and what it is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.methods import few

from thetastar.protocols import Clock


@pytest.mark.parametrize(("step", "share"), [(0, math.exp(-5)), (15, math.exp(-1.25)), (30, 1.0)])
def test_the_loss_by_hand_and_its_gradient_through_both_views(step: int, share: float) -> None:
    stream, program = few.assembled("pi_model")
    batch = few.first_batch(stream)

    def by_hand(f: object) -> float:
        labelled = few.surprise(few.probabilities(f, batch["input"]), batch["target"].numpy())
        one, other = (few.probabilities(f, batch["unlabelled"][view]) for view in ("input", "view"))
        return labelled + 10 * share * np.mean([((a - b) ** 2).sum() for a, b in zip(one, other, strict=True)])

    value, _ = few.said(program, batch, Clock(0, step=step, steps=100))
    np.testing.assert_allclose(value.item(), by_hand(program.f), rtol=1e-9)
    value.backward()
    np.testing.assert_allclose(program.f.head.bias.grad, few.slope_of_bias(program.f, by_hand), rtol=1e-5, atol=1e-8)


def test_each_view_has_dropout_of_its_own() -> None:
    """Of an example that no view changes, the two answers differ by dropout alone."""
    data = {**few.BARS, "augment": []}
    for dropout, differs in ((0.0, False), (0.5, True)):
        model = {"name": "mlp", "widths": [16], "dropout": dropout}
        stream, program = few.assembled("pi_model", data, model)
        _, aux = few.said(program, few.first_batch(stream), Clock(0))
        assert (aux.log["consistency"].item() > 1e-4) == differs


@pytest.mark.shows("L1")
def test_it_beats_the_few_labels_alone() -> None:
    gain = few.gains("pi_model", "bars")
    assert few.clear(gain)
    assert gain.mean() > 0.08
