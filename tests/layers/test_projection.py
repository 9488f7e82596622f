"""What compares features wants one vector an example."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from thetastar import equation, registry
from thetastar.errors import UserError
from thetastar.layers.projection import projector
from thetastar.protocols import Field, Schema
from thetastar.recipe import Recipe


@pytest.mark.parametrize("name", ["byol", "moco", "simclr", "simsiam", "barlow_twins", "vicreg"])
def test_maps_of_features_are_refused(name: str) -> None:
    schema = Schema(Field("image", (3, 16, 16)), Field("mask", (16, 16), classes=2))
    f = registry.build("models", {"name": "unet", "width": 2}, schema)
    with pytest.raises(UserError, match=f"{name} on images with masks"):
        registry.build("methods", name).attach(f, schema)


def test_environments_are_refused() -> None:
    with pytest.raises(UserError, match="simclr on an environment; expected examples"):
        equation.fit(Recipe(data="cartpole", method="simclr", budget={"steps": 1}))


@pytest.mark.parametrize(("norm", "layers", "norm_last"), [(False, 2, False), (True, 2, False), (True, 3, True)])
def test_a_projector_is_linear_layers_with_batch_norm_where_asked(norm: bool, layers: int, norm_last: bool) -> None:
    """A layer before a batch norm has no bias, which the norm would take out again."""
    made = projector(5, 7, 3, norm=norm, layers=layers, norm_last=norm_last)
    inner = ["Linear", *(["BatchNorm1d"] if norm else []), "ReLU"]
    last = ["Linear", *(["BatchNorm1d"] if norm_last else [])]
    assert [type(layer).__name__ for layer in made] == inner * (layers - 1) + last
    linear = [layer for layer in made if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in linear] == [5] + [7] * (layers - 1)
    assert [layer.bias is None for layer in linear] == [norm] * (layers - 1) + [norm_last]
    assert made(torch.randn(4, 5)).shape == (4, 3)
