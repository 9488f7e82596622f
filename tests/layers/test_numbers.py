"""Embeddings of numbers against the paper's equations by hand, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.preprocessing import QuantileTransformer

from thetastar.layers.numbers import Bins, Columnwise, Quantile, Waves, bins_of
from thetastar.protocols import Field


def test_bins_are_the_papers_equation() -> None:
    """Equation 1 of Gorishniy et al. 2022, case by case: 0 before, 1 after, linear within and beyond the ends."""
    layer = Bins([(0.0, 1.0, 3.0, 7.0), (10.0, 20.0)])
    x = torch.tensor([[0.5, 15.0], [2.0, 10.0], [7.0, 20.0], [-1.0, 0.0], [11.0, 40.0]])
    first = [[0.5, 0, 0], [1, 0.5, 0], [1, 1, 1], [-1, 0, 0], [1, 1, 2]]
    second = [[0.5, 0, 0], [0, 0, 0], [1, 0, 0], [-1, 0, 0], [3, 0, 0]]
    torch.testing.assert_close(layer(x), torch.tensor([first, second]).float().transpose(0, 1))


def test_bins_against_a_loop_in_numpy() -> None:
    rng = np.random.default_rng(0)
    edges = [tuple(np.sort(rng.normal(size=count)).tolist()) for count in (2, 3, 9)]
    x = rng.normal(size=(50, 3))
    found = Bins(edges)(torch.tensor(x, dtype=torch.float32)).numpy()
    for i, j in np.ndindex(50, 3):
        cuts = edges[j]
        for t in range(8):
            if t >= len(cuts) - 1:
                expected = 0.0
            else:
                expected = (x[i, j] - cuts[t]) / (cuts[t + 1] - cuts[t])
                expected = max(expected, 0.0) if t > 0 else expected
                expected = min(expected, 1.0) if t < len(cuts) - 2 else expected
            np.testing.assert_allclose(found[i, j, t], expected, rtol=2e-4, atol=2e-4)


def test_quantile_transform_is_scikit_learns() -> None:
    x = np.random.default_rng(1).gamma(2.0, size=(2000, 2))
    theirs = QuantileTransformer(n_quantiles=33).fit(x)
    z = Quantile(theirs.quantiles_.T.tolist())(torch.tensor(x, dtype=torch.float32))
    np.testing.assert_allclose(z.numpy(), math.sqrt(3) * (2 * theirs.transform(x) - 1), atol=1e-4)
    np.testing.assert_allclose(z.mean(0), 0.0, atol=0.01)
    np.testing.assert_allclose(z.std(0), 1.0, atol=0.02)


def test_two_values_become_minus_and_plus_root_three() -> None:
    z = Quantile([(0.0, 1.0)])(torch.tensor([[0.0], [1.0]]))
    torch.testing.assert_close(z, torch.tensor([[-(3**0.5)], [3**0.5]]))


def test_waves_and_columnwise_against_numpy() -> None:
    torch.manual_seed(0)
    edges = [(0.0, 1.0, 2.0), (-4.0, 0.0, 4.0)]
    waves, after = Waves(edges, frequencies=3, sigma=0.7), Columnwise(2, 6, 5)
    x = torch.tensor([[0.3, -1.0], [1.9, 3.0]])
    q = math.sqrt(3) * np.array([[0.3 - 1.0, -1.0 / 4], [0.9, 3.0 / 4]])  # uniform on both: linear
    c, w, b = (p.detach().double().numpy() for p in (waves.frequency, after.weight, after.bias))
    for i, j in np.ndindex(2, 2):
        angle = 2 * np.pi * c[j] * q[i, j]
        e = np.concatenate([np.sin(angle), np.cos(angle)])
        expected = np.maximum(e @ w[j] + b[j], 0.0)
        found = after(waves(x))[i, 5 * j : 5 * j + 5].detach()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_quantiles_the_bins_are_those_of_a_normal() -> None:
    normal, constant = bins_of(Field("vector", (2,), mean=(5.0, 1.0), std=(2.0, 0.0)))
    np.testing.assert_allclose(normal[3], 5.0)
    np.testing.assert_allclose(normal[1], 5.0 - 2.0 * 0.6744898, rtol=1e-6)
    assert constant == (1.0,)
