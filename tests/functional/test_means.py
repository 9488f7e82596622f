"""A mean of batches is the mean of all, to the last digits of float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.functional.means import RunningMean


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
