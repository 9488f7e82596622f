"""LeNet-5: the published count, its arithmetic by hand, and the field that small images stand in."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.models.lenet import lenet5
from thetastar.protocols import Field, Schema


def schema(side: int = 32, channels: int = 1) -> Schema:
    field = Field("image", (channels, side, side), mean=(0.4,) * channels, std=(0.2,) * channels)
    return Schema(field, Field("category", classes=10))


@pytest.mark.shows("V2")
@pytest.mark.parametrize("side", [28, 32])
def test_parameters(side: int) -> None:
    with torch.device("meta"):
        counted = sum(parameter.numel() for parameter in lenet5(schema(side)).parameters())
    assert counted == 61_706 == (25 + 1) * 6 + (150 + 1) * 16 + (400 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10


@pytest.mark.shows("V2")
def test_forward_by_hand() -> None:
    torch.manual_seed(0)
    f, x = lenet5(schema()).eval(), torch.rand(3, 1, 32, 32)
    weights = f.state_dict()

    def stage(h: torch.Tensor, name: str) -> torch.Tensor:
        """Windows of 5×5 times weights, tanh, means of 2×2."""
        windows = h.unfold(2, 5, 1).unfold(3, 5, 1)  # (batch, channels, places, places, 5, 5)
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        h = torch.tanh(torch.einsum("bchwij,ocij->bohw", windows, weight) + bias.view(-1, 1, 1))
        return h.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))

    h = stage(stage((x - 0.4) / 0.2, "convolutions.0"), "convolutions.3").flatten(1)
    for name in ("dense.0", "dense.2"):
        h = torch.tanh(h @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
    torch.testing.assert_close(f.features(x), h, atol=1e-5, rtol=1e-5)
    by_hand = h @ weights["head.weight"].T + weights["head.bias"]
    torch.testing.assert_close(f(x), by_hand, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", [1, 7, 28])
def test_small_images_stand_in_the_middle_of_the_mean(side: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        f = lenet5(schema(side))
        torch.manual_seed(0)
        whole = lenet5(schema())
    x, before = torch.rand(2, 1, side, side), (32 - side) // 2
    after = 32 - side - before
    torch.testing.assert_close(f(x), whole(F.pad(x, (before, after, before, after), value=0.4)))
    assert f"{side}×{side} images stand in the middle of 32×32" in f.said[0]
    assert not whole.said


def test_it_takes_images_only() -> None:
    with pytest.raises(UserError, match="vector inputs"):
        lenet5(Schema(Field("vector", (40,)), Field("category", classes=10)))
