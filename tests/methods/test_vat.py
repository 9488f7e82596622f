"""VAT: its direction beside an eigenvector, its loss by hand, and passes that leave no trace."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods import few

from thetastar.errors import UserError
from thetastar.functional.attacks import virtual_direction
from thetastar.functional.keys import keyed, reseed
from thetastar.protocols import Clock, Field, Schema
from thetastar.registry import build

MOONS = {"name": "few_labels", "source": {"name": "moons", "rows": 200}, "labels": 16}
LINEAR = {"name": "mlp", "widths": []}


def divergence(f: Any, u: torch.Tensor, moved: torch.Tensor) -> np.ndarray:
    p, q = few.probabilities(f, u), few.probabilities(f, moved)
    return (p * (np.log(p) - np.log(q))).sum(1)


def test_the_direction_is_the_first_eigenvector_of_the_hessian() -> None:
    """Of softmax(Wx + b) the Hessian of the divergence at 0 is σWᵀ (diag p − p pᵀ) Wσ."""
    stream, program = few.assembled("vat", model=LINEAR)
    f, method = program.f, program.method
    u = few.first_batch(stream)["unlabelled"]["input"]
    sigma = float(method.sigma)
    w = f.head.weight.detach().numpy() * float(f.standardise.scale) * sigma
    with keyed(3):
        d = virtual_direction(method.divergence(f, u), u, xi=1e-4, iterations=60).flatten(1).numpy()
    np.testing.assert_allclose(np.linalg.norm(d, axis=1), 1, rtol=1e-9)
    for row, p in enumerate(few.probabilities(f, u)):
        values, vectors = np.linalg.eigh(w.T @ (np.diag(p) - np.outer(p, p)) @ w)
        if values[-2] < 0.8 * values[-1]:  # else sixty iterations are few
            assert abs(vectors[:, -1] @ d[row]) > 0.999


def test_one_iteration_is_the_slope_by_finite_differences() -> None:
    stream, program = few.assembled("vat", MOONS)
    f, method = program.f, program.method
    u = few.first_batch(stream)["unlabelled"]["input"]
    sigma = method.sigma.numpy()
    with keyed(3):
        of_step = method.divergence(f, u)
        start = virtual_direction(of_step, u, xi=0.1, iterations=0).numpy()
    with keyed(3):
        got = virtual_direction(method.divergence(f, u), u, xi=0.1, iterations=1).numpy()
    slope = np.zeros_like(start)
    for entry in range(2):
        steps = [torch.from_numpy((0.1 * start + sign * 1e-5 * np.eye(2)[entry]) * sigma) for sign in (1, -1)]
        ahead, behind = (divergence(f, u, u + step) for step in steps)
        slope[:, entry] = ahead - behind
    np.testing.assert_allclose(got, slope / np.linalg.norm(slope, axis=1, keepdims=True), atol=1e-4)


def test_the_loss_by_hand_and_the_answer_of_now_without_gradient() -> None:
    stream, program = few.assembled({"name": "vat", "eps": 0.5, "weight": 2.0}, MOONS)
    batch, f, method = few.first_batch(stream), program.f, program.method
    u, size = batch["unlabelled"]["input"], math.sqrt(2)
    reseed(5)
    with keyed(5):
        d = virtual_direction(method.divergence(f, u), u, xi=0.01 * size, iterations=1)
    moved, now = u + method.sigma * 0.5 * size * d, few.probabilities(f, u)

    def by_hand(f: Any) -> float:
        labelled = few.surprise(few.probabilities(f, batch["input"]), batch["target"].numpy())
        return labelled + 2 * (now * (np.log(now) - np.log(few.probabilities(f, moved)))).sum(1).mean()

    value, _ = few.said(program, batch, Clock(0))
    np.testing.assert_allclose(value.item(), by_hand(f), rtol=1e-8)
    value.backward()
    np.testing.assert_allclose(f.head.bias.grad, few.slope_of_bias(f, by_hand), rtol=1e-5, atol=1e-8)
    rms = (((moved - u) / method.sigma) ** 2).mean(1).sqrt()
    torch.testing.assert_close(rms, torch.full_like(rms, 0.5))


def test_no_iterations_step_in_a_random_direction_which_changes_less() -> None:
    data = {**few.BARS, "augment": []}
    changed = []
    for iterations in (0, 1, 5):
        stream, program = few.assembled({"name": "vat", "iterations": iterations, "eps": 0.5}, data)
        changed.append(few.said(program, few.first_batch(stream), Clock(0))[1].log["divergence"].item())
    assert changed[1] > 4 * changed[0]
    assert changed[2] > changed[1]


def test_the_passes_differ_by_the_step_alone_and_leave_no_moments() -> None:
    model = {"name": "mlp", "widths": [16], "norm": "batch", "dropout": 0.5}
    stream, program = few.assembled("vat", model=model)
    batch, f = few.first_batch(stream), program.f
    u, norm = batch["unlabelled"]["input"], f.hidden[1]
    with keyed(3):
        nothing = program.method.divergence(f, u)(torch.zeros_like(u))
    assert nothing.abs().max() < 1e-12  # the same dropout, the same moments
    assert norm.num_batches_tracked == 0
    few.said(program, batch, Clock(0))
    assert norm.num_batches_tracked == 1
    x = (batch["input"] - f.standardise.mean) * f.standardise.scale
    torch.testing.assert_close(norm.running_mean, 0.1 * f.hidden[0](x.flatten(1)).mean(0))


def test_the_direction_keeps_its_digits_in_bfloat16() -> None:
    stream, program = few.assembled({"name": "vat", "xi": 1e-3})
    batch, found = next(stream.batches("train", Clock(0))), []
    program.float()
    for cast in (False, True):
        program.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            value, aux = few.said(program, batch, Clock(0))
            value.backward()
        found.append((aux.log["divergence"].item(), program.f.hidden[0].weight.grad.flatten().clone()))
    assert found[1][0] == pytest.approx(found[0][0], rel=0.05)
    assert torch.nn.functional.cosine_similarity(found[0][1], found[1][1], dim=0) > 0.99


def test_entries_that_never_vary_are_not_moved_and_words_are_refused() -> None:
    schema = Schema(Field("vector", (2,), mean=(1.0, 3.0), std=(2.0, 0.0)), Field("category", classes=2))
    method = build("methods", "vat")
    method.attach(None, schema)
    assert method.sigma.tolist() == [2.0, 0.0]
    with pytest.raises(UserError, match="cannot be moved a little"):
        build("methods", "vat").attach(None, Schema(Field("tokens", (5,)), Field("category", classes=2)))


@pytest.mark.shows("L1")
def test_it_beats_the_few_labels_alone() -> None:
    gain = few.gains("vat", "blobs")
    assert few.clear(gain)
    assert gain.mean() > 0.02
