"""Masked audio: the loss by hand, what is masked, and that only what is masked is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.functional.keys import seeded
from thetastar.methods.masked_audio import spans, told_apart
from thetastar.protocols import Clock
from thetastar.recipe import Recipe
from thetastar.star import train


@pytest.mark.shows("L4")
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_loss_is_that_of_the_paper_by_hand(temperature: float) -> None:
    torch.manual_seed(0)
    c, q = torch.randn(2, 3, 6, 5, dtype=torch.float64)
    masked = torch.tensor([[1, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 1]]).bool()
    value, right = told_apart(c, q, masked, temperature)

    def cos(a: Tensor, b: Tensor) -> float:
        return float(a @ b / a.norm() / b.norm())

    losses, hits = [], []
    for i in range(3):
        places = masked[i].nonzero().flatten().tolist()
        for t in places if len(places) > 1 else []:
            scores = np.asarray([cos(c[i, t], q[i, s]) / temperature for s in places])
            losses.append(-scores[places.index(t)] + np.log(np.exp(scores).sum()))
            hits.append(places[int(scores.argmax())] == t)
    assert value.item() == pytest.approx(np.mean(losses), rel=1e-6)
    assert right.item() == pytest.approx(np.mean(hits))


@pytest.mark.parametrize(("share", "span"), [(0.3, 1), (0.5, 3), (0.6, 5)])
def test_the_share_asked_for_is_masked_in_spans_of_what_is_heard(share: float, span: int) -> None:
    heard = torch.ones(400, 60).bool()
    heard[:, 50:] = False
    with seeded(0):
        masked = spans(heard, share, span)
    assert not masked[:, 50:].any()
    assert masked[:, span : 50 - span].float().mean().item() == pytest.approx(share, abs=0.02)
    starts = masked & ~torch.nn.functional.pad(masked[:, :-1], (1, 0))
    for row, first in starts[:, : 50 - span].nonzero().tolist()[:200]:
        assert masked[row, first : first + span].all()


def test_places_that_are_not_masked_do_not_matter_to_the_loss() -> None:
    torch.manual_seed(0)
    c, q = torch.randn(2, 2, 6, 5, dtype=torch.float64)
    masked = torch.tensor([[1, 0, 1, 1, 0, 0]] * 2).bool()
    value = told_apart(c, q, masked, 0.1)[0]
    c[:, [1, 4]], q[:, [1, 4]] = 7.0, -3.0
    torch.testing.assert_close(told_apart(c, q, masked, 0.1)[0], value)


def test_a_net_without_tokens_is_refused() -> None:
    with pytest.raises(UserError, match="which has no tokens"):
        train(Recipe(data="tones", model="audio_cnn", method="masked_audio", budget={"steps": 1}))


@pytest.mark.shows("L4")
def test_it_learns_to_tell_what_was_masked() -> None:
    """Pitches that glide: what was masked follows from what stands around it."""
    random = np.random.default_rng(0)
    first, last = random.uniform(50, 400, (2, 240, 1))
    pitch = first + (last - first) * np.linspace(0, 1, 800)
    glides = np.sin(2 * np.pi * np.cumsum(pitch, 1) / 1000).astype(np.float32)
    data = {"name": "clips", "inputs": glides, "targets": (last > first)[:, 0].astype(int), "rate": 1000}
    model = {"name": "audio_transformer", "width": 32, "depth": 1, "heads": 2, "bands": 20}
    method = {"name": "masked_audio", "outputs": 16}
    rule = {"name": "adamw", "lr": 0.003}
    right: list[float] = []
    for steps in (1, 150):
        star = train(Recipe(data=data, model=model, method=method, algorithm=rule, budget={"steps": steps}))
        batch = open_stream(data).sample("valid", 36)
        with seeded(1), torch.no_grad():
            right.append(float(star.program.eval()("loss", batch, Clock(0, 0, 1, 0))[1].log["accuracy"]))
    assert right[1] > 2 * right[0]
