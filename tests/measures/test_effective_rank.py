"""Effective rank, streaming."""

from __future__ import annotations

import numpy as np
import torch

from thetastar.measures.effective_rank import effective_rank


def test_batches_give_the_value_of_the_whole() -> None:
    z = np.random.default_rng(0).normal(size=(100, 6)) @ np.diag([9, 4, 2, 1, 1, 0.1]) + 30.0
    values = np.linalg.svd(z - z.mean(0), compute_uv=False)
    p = values / values.sum()
    measure = effective_rank()
    for part in torch.from_numpy(z).split([7, 50, 43]):
        assert measure.update({"features": part}, {}) is None
    np.testing.assert_allclose(measure.compute()["effective_rank"], np.exp(-(p * np.log(p)).sum()), rtol=1e-6)
