"""Mirroring and pooled batch norm, against NumPy and by hand."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar.layers.pixels import PooledNorm, mirrored

side, margin = st.integers(1, 5), st.integers(0, 9)


@settings(max_examples=60, deadline=None)
@given(size=st.tuples(side, side), rows=st.tuples(margin, margin), columns=st.tuples(margin, margin))
def test_mirroring_is_numpys_reflection_however_wide_the_margins(size, rows, columns) -> None:
    x = torch.randn(2, 3, *size)
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), rows, columns), mode="reflect")
    assert np.array_equal(mirrored(x, rows, columns).numpy(), expected)


def test_a_pooled_norm_of_one_image_goes_by_what_it_has_seen() -> None:
    """γ (x − running mean) / √(running variance + ε) + β for one number a channel; batch norm refuses or gives β."""
    norm = PooledNorm(3)
    norm(torch.randn(8, 3, 1, 1) * 2 + 1)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2), norm.bias.uniform_(-1, 1)
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    x = torch.randn(1, 3, 1, 1, requires_grad=True)
    expected = norm.weight * (x[0, :, 0, 0] - mean) / (var + norm.eps).sqrt() + norm.bias
    torch.testing.assert_close(norm(x)[0, :, 0, 0], expected)
    assert torch.equal(norm.running_mean, mean)
    assert torch.equal(norm.running_var, var)
    two = torch.randn(2, 3, 1, 1)
    torch.testing.assert_close(norm(two), torch.nn.functional.batch_norm(two, None, None, norm.weight, norm.bias, True))
