"""FixMatch: the loss by hand with its mask, the mean over all, and what becomes of it without confident guesses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods import few

from thetastar.protocols import Clock

VIEWS = {**few.BARS, "strong": [{"name": "noise", "std": 0.4}]}


def by_hand(f: object, weak: np.ndarray, batch: dict, threshold: float) -> float:
    """`weak`: what f said of the weak views when the guesses were made."""
    labelled = few.surprise(few.probabilities(f, batch["input"]), batch["target"].numpy())
    strong = few.probabilities(f, batch["unlabelled"]["view"])
    total = 0.0
    for guess, said in zip(weak, strong, strict=True):
        if guess.max() >= threshold:
            total -= np.log(said[guess.argmax()])
    return labelled + 2 * total / len(weak)


@pytest.mark.parametrize("quantile", [0.0, 0.3, 0.9])
def test_the_loss_by_hand_is_a_mean_over_all_unlabelled_examples(quantile: float) -> None:
    stream, program = few.assembled({"name": "fixmatch", "weight": 2.0}, VIEWS)
    batch, f = few.first_batch(stream), program.f
    weak = few.probabilities(f, batch["unlabelled"]["input"])
    threshold = program.method.threshold = float(np.quantile(weak.max(1), quantile)) - 1e-9
    value, aux = few.said(program, batch, Clock(0))
    np.testing.assert_allclose(value.item(), by_hand(f, weak, batch, threshold), rtol=1e-9)
    np.testing.assert_allclose(aux.log["confident"].item(), (weak.max(1) >= threshold).mean(), rtol=1e-6)
    value.backward()
    expected = few.slope_of_bias(f, lambda moved: by_hand(moved, weak, batch, threshold))
    np.testing.assert_allclose(f.head.bias.grad, expected, rtol=1e-5, atol=1e-8)


def test_no_guess_is_confident_above_one_and_nothing_is_learnt_from_the_unlabelled() -> None:
    stream, program = few.assembled({"name": "fixmatch", "threshold": 1.01}, VIEWS)
    twin = few.assembled("supervised", VIEWS)[1]
    twin.load_state_dict(program.state_dict(), strict=False)
    batch = few.first_batch(stream)
    for each in (program, twin):
        few.said(each, batch, Clock(0, step=50, steps=100))[0].backward()
    for (name, own), other in zip(program.f.named_parameters(), twin.f.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-9, atol=1e-12, msg=name)


def test_by_itself_it_asks_for_a_weak_and_a_strong_view() -> None:
    stream, _ = few.assembled("fixmatch", "bars")
    assert [type(change).__name__ for change in stream.augment] == ["crop", "noise"]
    assert [type(change).__name__ for change in stream.strong] == ["crop", "rand_augment", "cutout"]
    stream, _ = few.assembled("fixmatch", {"name": "moons", "rows": 400})
    weak, strong = (np.array(change[0].std) for change in (stream.augment, stream.strong))
    np.testing.assert_allclose(strong, 4 * weak)


@pytest.mark.shows("L1")
def test_it_beats_the_few_labels_alone_and_without_confident_guesses_it_is_no_more_than_them() -> None:
    gain = few.gains("fixmatch", "bars")
    assert few.clear(gain)
    assert gain.mean() > 0.06
    assert not few.gains({"name": "fixmatch", "threshold": 1.01}, "bars", range(10, 12)).any()
