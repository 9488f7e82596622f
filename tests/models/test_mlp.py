"""The multilayer perceptron: parameters as counted by hand, and that width lets it bend like any function."""

from __future__ import annotations

from pathlib import Path

import pytest

from thetastar import equation, registry
from thetastar.protocols import Field, Schema
from thetastar.recipe import Recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "approximation.yaml"


@pytest.mark.shows("F5")
def test_parameters_are_those_of_the_lecture() -> None:
    """784-512-256-10: 784·512 + 512 + 512·256 + 256 + 256·10 + 10 = 535,818."""
    schema = Schema(Field("image", (1, 28, 28)), Field("category", (), 10))
    f = registry.build("models", {"name": "mlp", "widths": [512, 256]}, schema)
    assert sum(p.numel() for p in f.parameters()) == 535_818


@pytest.mark.shows("F5")
def test_error_on_a_sine_falls_with_width() -> None:
    """One hidden layer, tanh: for every seed 64 units fit what 2 cannot, and means fall along 2, 4, 64."""
    base = Recipe.from_yaml(RECIPE)
    errors = {
        width: [
            equation.fit(base.replace(model={**base.model, "widths": [width]}, seed=seed)).values["rmse"]
            for seed in range(3)
        ]
        for width in (2, 4, 64)
    }
    means = [sum(errors[width]) / 3 for width in (2, 4, 64)]
    assert means[0] > means[1] > means[2]
    assert all(wide < 0.1 < narrow for wide, narrow in zip(errors[64], errors[2], strict=True)), errors
