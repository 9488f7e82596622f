"""The first layer of a model: no unit is special, and what is constant stays small."""

from __future__ import annotations

import pytest
import torch

from thetastar.data.arrays import arrays
from thetastar.functional.moments import moments
from thetastar.layers.ends import Standardise
from thetastar.protocols import Field


@pytest.mark.parametrize("unit", [1e-15, 1e-9, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_standardised_inputs_do_not_depend_on_the_unit(unit: float, offset: float) -> None:
    """Farads and mole fractions are as good as kilometres."""
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) + offset
    schema, _ = arrays(inputs=x * unit).prepare(range(200))
    assert isinstance(schema.input, Field)
    z = Standardise(schema.input)(x * unit)
    expected = (x - x.mean(0)) / x.std(0, correction=0)
    torch.testing.assert_close(z, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(moments(schema.input)[1], x.std(0, correction=0) * unit, rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6, -3e8])
def test_a_constant_entry_is_left_in_its_unit(value: float) -> None:
    x = torch.full((100, 1), value)
    schema, _ = arrays(inputs=x).prepare(range(100))
    assert isinstance(schema.input, Field)
    layer = Standardise(schema.input)
    assert layer.scale.item() == 1.0
    assert moments(schema.input)[1].item() == 1.0
