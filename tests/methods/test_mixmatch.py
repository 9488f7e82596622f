"""MixMatch: guesses and mixed targets by hand, gradients and moments that guesses leave alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.methods import few

from thetastar.defaults import _check_method
from thetastar.errors import UserError
from thetastar.functional.keys import reseed
from thetastar.functional.mixing import beta_shares
from thetastar.protocols import Clock, Field, Schema
from thetastar.recipe import Engine

METHOD = {"name": "mixmatch", "weight": 30.0, "ramp": 0.0}


def guesses(f: Any, batch: Any, temperature: float = 0.5) -> np.ndarray:
    """(p₁ + p₂) / 2, each entry to the power 1/T, divided by their sum; a row after the other."""
    first, second = (few.probabilities(f, batch["unlabelled"][view]) for view in ("input", "view"))
    rows = []
    for a, b in zip(first, second, strict=True):
        power = [((x + y) / 2) ** (1 / temperature) for x, y in zip(a, b, strict=True)]
        rows.append([entry / sum(power) for entry in power])
    return np.array(rows)


def mixed(batch: Any, q: np.ndarray, key: int) -> tuple[np.ndarray, np.ndarray]:
    """x' and their targets by a loop over rows, with the draws of a key."""
    x = np.concatenate([batch["input"], batch["unlabelled"]["input"], batch["unlabelled"]["view"]])
    y = np.concatenate([np.eye(q.shape[1])[batch["target"].numpy()], q, q])
    reseed(key)
    partner = torch.randperm(len(y)).tolist()
    share = beta_shares(len(y), 0.75, torch.zeros(1)).double().tolist()
    inputs, targets = np.empty_like(x), np.empty_like(y)
    for row, (other, drawn) in enumerate(zip(partner, share, strict=True)):
        own = max(drawn, 1 - drawn)
        assert own >= 0.5
        inputs[row] = own * x[row] + (1 - own) * x[other]
        targets[row] = own * y[row] + (1 - own) * y[other]
    return inputs, targets


def by_hand(f: Any, inputs: np.ndarray, targets: np.ndarray, labels: int) -> float:
    p = few.probabilities(f, torch.from_numpy(inputs))
    labelled = [-(y * np.log(row)).sum() for y, row in zip(targets[:labels], p[:labels], strict=True)]
    guessed = [((y - row) ** 2).mean() for y, row in zip(targets[labels:], p[labels:], strict=True)]
    return float(np.mean(labelled) + 30 * np.mean(guessed))


def test_the_loss_by_hand_and_guesses_without_gradient() -> None:
    stream, program = few.assembled(METHOD)
    batch, f = few.first_batch(stream), program.f
    q = guesses(f, batch)
    np.testing.assert_allclose(program.method.guess(f, batch["unlabelled"]), q, rtol=1e-9)
    inputs, targets = mixed(batch, q, key=5)
    value, _ = few.said(program, batch, Clock(0), key=5)
    labels = len(batch["target"])
    np.testing.assert_allclose(value.item(), by_hand(f, inputs, targets, labels), rtol=1e-6)
    value.backward()
    expected = few.slope_of_bias(f, lambda moved: by_hand(moved, inputs, targets, labels))
    np.testing.assert_allclose(f.head.bias.grad, expected, rtol=1e-5, atol=1e-7)


def test_a_guess_writes_no_moments_and_the_mixed_batch_is_normalised_as_one() -> None:
    stream, program = few.assembled(METHOD, model={"name": "mlp", "widths": [8], "norm": "batch"})
    batch, f = few.first_batch(stream), program.f
    norm, seen = f.hidden[1], []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    few.said(program, batch, Clock(0))
    guessed, trained = seen
    assert (len(guessed), len(trained)) == (64, 80)  # two views; with them the labelled
    torch.testing.assert_close(norm.running_mean, 0.1 * trained.mean(0))
    assert norm.num_batches_tracked == 1


def test_weights_get_their_gradients_also_after_a_guess_in_bfloat16() -> None:
    """Casts that are kept from a pass without gradients would cut the weights off."""
    stream, program = few.assembled(METHOD)
    batch = next(stream.batches("train", Clock(0)))
    slopes = []
    for cast in (False, True):
        program.float().zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            few.said(program, batch, Clock(0))[0].backward()
        slopes.append(program.f.hidden[0].weight.grad.clone())
    cosine = torch.nn.functional.cosine_similarity(slopes[0].flatten(), slopes[1].flatten(), dim=0)
    assert cosine > 0.99


def test_what_has_no_middle_is_refused() -> None:
    schema = Schema(Field("tokens", (5,)), Field("category", classes=2))
    with pytest.raises(UserError, match="mixmatch on tokens inputs"):
        _check_method("mixmatch", schema, Engine())


@pytest.mark.shows("L1")
def test_it_beats_the_few_labels_alone() -> None:
    gain = few.gains({"name": "mixmatch", "weight": 10.0}, "blobs")
    assert few.clear(gain)
    assert gain.mean() > 0.02
