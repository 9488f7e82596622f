"""Barlow Twins: its loss by hand, what it learns, and what its second term is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.probing import assembled
from tests.methods.representations import CNN, by_hand, encoded, first_batch, gains, projected, pure_and_reached, recipe

from thetastar import equation
from thetastar.errors import UserError
from thetastar.functional.collapse import effective_rank
from thetastar.protocols import Clock

METHOD = {"name": "barlow_twins", "hidden": 128, "outputs": 64}


@pytest.mark.shows("L3")
@pytest.mark.parametrize("redundancy", [0.0, 5e-3, 0.5])
def test_the_loss_is_that_of_the_cross_correlation(redundancy: float) -> None:
    _, stream, program = assembled(recipe({**METHOD, "redundancy": redundancy}))
    batch = first_batch(stream)
    got, _ = program.train()("loss", batch, Clock(0))
    z = [by_hand(program.method.projector, encoded(program.f, batch[name])) for name in ("input", "view")]
    z = [(one - one.mean(0)) / np.sqrt(one.var(0) + 1e-5) for one in z]
    c = z[0].T @ z[1] / len(z[0])
    expected = ((1 - np.diag(c)) ** 2).sum() + redundancy * ((c**2).sum() - (np.diag(c) ** 2).sum())
    np.testing.assert_allclose(got.item(), expected, rtol=1e-4)


def test_the_loss_is_pure_and_reaches_what_it_declares() -> None:
    pure_and_reached(recipe(METHOD))


@pytest.mark.shows("L3")
def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    found = gains(METHOD, 250)
    assert min(found) > 0
    assert np.mean(found) > 0.02


@pytest.mark.shows("L3")
def test_entries_repeat_one_another_without_the_second_term() -> None:
    def rank(redundancy: float) -> float:
        z = projected(recipe({**METHOD, "redundancy": redundancy}, "digits", 150, 0, CNN))
        return float(effective_rank(torch.corrcoef(z.T.double())))

    assert rank(0.0) < 0.65 * rank(5e-3)


def test_a_batch_too_small_for_a_correlation_is_refused() -> None:
    given = recipe(METHOD)
    with pytest.raises(UserError, match=r"barlow_twins on batches of 2: moments over so few .*; expected at least 4"):
        equation.fit(given.replace(data={**given.data, "batch_size": 2}))
