"""What compares features wants one vector an example."""

from __future__ import annotations

import pytest

from thetastar import registry
from thetastar.errors import UserError
from thetastar.protocols import Field, Schema


@pytest.mark.parametrize("name", ["byol", "moco"])
def test_maps_of_features_are_refused(name: str) -> None:
    schema = Schema(Field("image", (3, 16, 16)), Field("mask", (16, 16), classes=2))
    f = registry.build("models", {"name": "unet", "width": 2}, schema)
    with pytest.raises(UserError, match=f"{name} on images with masks"):
        registry.build("methods", name).attach(f, schema)
