"""SimSiam: its loss by hand, what it learns, and the collapse that the stopped gradient prevents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.probing import assembled
from tests.methods.representations import (
    PLAIN,
    by_hand,
    encoded,
    first_batch,
    gains,
    projected,
    pure_and_reached,
    recipe,
    unit,
)
from torch import Tensor, nn

from thetastar import equation
from thetastar.errors import UserError
from thetastar.functional.collapse import effective_rank, spread
from thetastar.functional.contrast import cosine_distance
from thetastar.protocols import Aux, Batch, Clock, Model

METHOD = {"name": "simsiam", "hidden": 64, "bottleneck": 16}


@pytest.mark.shows("L3")
def test_the_loss_is_minus_half_of_each_cosine() -> None:
    _, stream, program = assembled(recipe(METHOD))
    batch = first_batch(stream)
    got, _ = program.train()("loss", batch, Clock(0))
    z = [by_hand(program.method.projector, encoded(program.f, batch[name])) for name in ("input", "view")]
    p = [by_hand(program.method.predictor, one) for one in z]
    cosines = [(unit(p[i]) * unit(z[1 - i])).sum(1) for i in (0, 1)]
    np.testing.assert_allclose(got.item(), -(cosines[0] + cosines[1]).mean() / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.shows("L3")
def test_no_gradient_passes_where_it_is_stopped() -> None:
    """Equal to the gradient towards targets that are plain numbers."""
    _, stream, program = assembled(recipe(METHOD))
    batch, method = first_batch(stream), program.method
    program.train()("loss", batch, Clock(0))[0].backward()
    got = {name: p.grad.clone() for name, p in program.named_parameters() if p.grad is not None}
    program.zero_grad()
    with torch.no_grad():
        targets = [method.projector(program.f.features(batch[name])).clone() for name in ("view", "input")]
    value = torch.zeros(())
    for name, target in zip(("input", "view"), targets, strict=True):
        predicted = method.predictor(method.projector(program.f.features(batch[name])))
        value = value - torch.nn.functional.cosine_similarity(predicted, target).mean() / 2
    value.backward()
    for name, p in program.named_parameters():
        if name in got:
            torch.testing.assert_close(got[name], p.grad, rtol=1e-4, atol=1e-6)


def test_batch_norm_stands_where_the_paper_has_it() -> None:
    """Behind all three layers of the projector, the last one without ReLU; inside the predictor and not behind it."""
    method: Any = assembled(recipe(METHOD))[2].method
    block = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert [type(layer) for layer in method.projector] == [*block, *block, nn.Linear, nn.BatchNorm1d]
    assert [type(layer) for layer in method.predictor] == [*block, nn.Linear]


def test_the_loss_is_pure_and_reaches_what_it_declares() -> None:
    pure_and_reached(recipe(METHOD))


@pytest.mark.shows("L3")
def test_a_linear_probe_reads_more_from_its_features_than_from_random_ones() -> None:
    found = gains({**METHOD, "hidden": 128, "bottleneck": 32}, 250)
    assert min(found) > 0
    assert np.mean(found) > 0.01


def with_live_targets(method: Any) -> None:
    """The gradient is not stopped."""

    def loss(f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        first, second = (method.projector(f.features(x)) for x in method.views(batch))
        distance = cosine_distance(method.predictor(first), second) + cosine_distance(method.predictor(second), first)
        return distance.mean() / 4 - 1, Aux()

    method.loss = loss


@pytest.mark.shows("L3")
@pytest.mark.parametrize("seed", [0, 1])
def test_it_collapses_without_the_stopped_gradient_and_not_with_it(seed: int) -> None:
    """The last batch norm keeps entries apart from batch to batch, so that all lie on a line: both gauges fall."""
    given = recipe(METHOD, "digits", 150, seed, PLAIN).replace(algorithm={"name": "sgd", "lr": 0.2})
    whole, live = projected(given), projected(given, with_live_targets)
    ranks = [float(effective_rank(torch.cov(z.T.double()))) for z in (whole, live)]
    assert ranks[1] < 0.5 * ranks[0]
    assert spread(whole) > 0.9
    assert spread(live) < 0.75


def test_a_batch_too_small_for_batch_norm_is_refused() -> None:
    given = recipe(METHOD)
    with pytest.raises(UserError, match=r"simsiam on batches of 3: moments over so few .*; expected at least 4"):
        equation.fit(given.replace(data={**given.data, "batch_size": 3}))
