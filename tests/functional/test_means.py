"""A mean of batches is the mean of all, to the last digits of float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.functional.means import RunningMean, RunningSquares


@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_it_is_the_mean_however_rows_are_cut(shape: tuple[int, ...], kind: torch.dtype) -> None:
    rows = (1000 + torch.randn(501, *shape, generator=torch.Generator().manual_seed(0))).to(kind)
    mean = RunningMean()
    assert mean.value == 0
    for part in rows.split(7):
        assert mean.take(part) is part
    assert mean.value.numpy() == pytest.approx(rows.double().numpy().mean(0), rel=1e-14)
    assert np.shape(mean.value) == shape


@pytest.mark.parametrize("outputs", [1, 3])
def test_squares_about_the_mean_lose_no_digits_to_an_offset(outputs: int) -> None:
    rows = 1e6 + np.random.default_rng(0).standard_normal((501, outputs))
    squares = RunningSquares()
    for part in torch.tensor(rows).split(7):
        squares.take(part)
    assert squares.total.numpy() == pytest.approx(501 * np.var(rows - 1e6, axis=0), rel=1e-9)
