"""VICReg: its loss by hand, what it learns, and the collapse that its variance term prevents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.probing import assembled
from tests.methods.representations import (
    PLAIN,
    Array,
    by_hand,
    encoded,
    first_batch,
    gains,
    projected,
    pure_and_reached,
    recipe,
)

from thetastar import equation
from thetastar.errors import UserError
from thetastar.functional.collapse import effective_rank, spread
from thetastar.protocols import Clock

METHOD = {"name": "vicreg", "hidden": 64, "outputs": 32}


@pytest.mark.shows("L3")
@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_the_loss_is_its_three_terms(weights: tuple[float, float, float]) -> None:
    names = dict(zip(("invariance", "variance", "covariance"), weights, strict=True))
    _, stream, program = assembled(recipe({**METHOD, **names}))
    batch = first_batch(stream)
    got, aux = program.train()("loss", batch, Clock(0))
    z = [by_hand(program.method.projector, encoded(program.f, batch[name])) for name in ("input", "view")]

    def narrow(one: Array) -> float:
        return float(np.maximum(0, 1 - np.sqrt(one.var(0, ddof=1) + 1e-4)).mean())

    def repeated(one: Array) -> float:
        covariance = np.cov(one.T)
        return float((covariance**2).sum() - (np.diag(covariance) ** 2).sum()) / one.shape[1]

    terms = ((z[0] - z[1]) ** 2).mean(), sum(map(narrow, z)), sum(map(repeated, z))
    expected = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    np.testing.assert_allclose(got.item(), expected, rtol=1e-4)
    logged = [aux.log[name].item() for name in names]
    np.testing.assert_allclose(logged, [terms[0], terms[1] / 2, terms[2] / 2], rtol=1e-4)


def test_the_loss_is_pure_and_reaches_what_it_declares() -> None:
    pure_and_reached(recipe(METHOD))


@pytest.mark.shows("L3")
def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    found = gains(METHOD, 120)
    assert min(found) > 0
    assert np.mean(found) > 0.02


@pytest.mark.shows("L3")
@pytest.mark.parametrize("seed", [0, 1])
def test_it_collapses_without_the_variance_term_and_repeats_itself_without_the_covariance_term(seed: int) -> None:
    whole, narrow, alike = (
        projected(recipe({**METHOD, **more}, "digits", 150, seed, PLAIN))
        for more in ({}, {"variance": 0.0}, {"covariance": 0.0})
    )
    deviations = [float(z.std(0).mean()) for z in (whole, narrow)]
    assert deviations[0] > 0.7
    assert deviations[1] < 0.1
    assert spread(whole) > 0.7
    assert spread(narrow) < 0.45
    ranks = [float(effective_rank(torch.cov(z.T.double()))) for z in (whole, alike)]
    assert ranks[1] < 0.7 * ranks[0]


def test_a_batch_too_small_for_a_covariance_is_refused() -> None:
    given = recipe(METHOD)
    with pytest.raises(UserError, match=r"vicreg on batches of 3: moments over so few .*; expected at least 4"):
        equation.fit(given.replace(data={**given.data, "batch_size": 3}))
