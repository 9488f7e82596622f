"""Every net takes its activation by name, and all of them train."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.activations import ACTIVATIONS
from thetastar.layers.activation import Elementwise
from thetastar.protocols import Field, Schema

TARGET = Field("category", (), classes=3)
TABLE = Field("vector", (2,), quantiles=((0.0, 1.0, 2.0, 3.0),) * 2, mean=(0.0, 0.0), std=(1.0, 1.0))
IMAGE = Field("image", (1, 8, 8), mean=(0.0,), std=(1.0,))
NETS: dict[str, tuple[Schema, int]] = {  # and how many activations it has
    "mlp": (Schema(TABLE, TARGET), 2),
    "cnn": (Schema(IMAGE, TARGET), 3),
    "tabular_mlp": (Schema(TABLE, TARGET), 3),
    "wide_deep": (Schema({"table": TABLE, "image": IMAGE}, TARGET), 5),
}


@pytest.mark.shows("F6")
@pytest.mark.parametrize("name", NETS)
def test_every_net_takes_it_by_name(name: str) -> None:
    schema, count = NETS[name]
    model = registry.build("models", {"name": name, "activation": "mish"}, schema)
    used = [module.name for module in model.modules() if isinstance(module, Elementwise)]
    assert used == ["mish"] * count


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_reach_every_weight(activation: str) -> None:
    torch.manual_seed(0)
    spec: dict[str, Any] = {"name": "mlp", "widths": [16, 8], "activation": activation}
    model = registry.build("models", spec, NETS["mlp"][0])
    model(torch.randn(32, 2)).logsumexp(-1).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0, name


def test_a_slip_of_the_pen_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'gelu'"):
        registry.build("models", {"name": "cnn", "activation": "gleu"}, NETS["cnn"][0])
