"""Cost and noise: what is measured is what was used."""

from __future__ import annotations

import pytest
import torch

from thetastar.defaults import open_stream
from thetastar.outer.cost import Memory
from thetastar.outer.noise import SIGMA, Noisy, described
from thetastar.protocols import Clock

MIB = 2**20


def test_memory_sees_what_was_held_at_the_same_time():
    with Memory() as memory:
        for _ in range(2):
            torch.ones(96 * MIB // 4).add_(1)
    assert 0.9 * 96 * MIB <= memory.rise <= 1.6 * 96 * MIB


@pytest.mark.parametrize("data", ["bars", "moons"])
def test_noise_has_the_stated_size_and_is_the_same_for_all(data):
    stream = open_stream(data)
    clean = torch.cat([batch["input"] for batch in stream.batches("test", Clock(0))])
    noisy = torch.cat([batch["input"] for batch in Noisy(stream).batches("test", Clock(0))])
    other = torch.cat([batch["input"] for batch in Noisy(stream).batches("test", Clock(5, step=9))])
    unit = 1.0 if data == "bars" else torch.tensor(stream.schema.input.std)
    assert torch.equal(noisy, other)
    assert ((noisy - clean) / unit).std().item() == pytest.approx(SIGMA, rel=0.15)
    assert str(SIGMA) in described(stream.schema)
