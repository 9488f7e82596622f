"""Spread of directions, streaming."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.measures.spread import spread


@pytest.mark.shows("L3")
def test_batches_give_the_deviation_of_the_directions_of_all() -> None:
    z = np.random.default_rng(0).normal(size=(100, 6)) + 0.5
    measure = spread()
    for part in torch.from_numpy(z).split([7, 50, 43]):
        assert measure.update({"features": part}, {}) is None
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(measure.compute()["spread"], np.sqrt(unit.var(axis=0).sum()), rtol=1e-12)


def test_it_is_zero_at_collapse_whatever_the_lengths() -> None:
    measure = spread()
    measure.update({"features": torch.rand(50, 1, generator=torch.Generator().manual_seed(0)) * torch.ones(8)}, {})
    assert measure.compute()["spread"] < 1e-6
