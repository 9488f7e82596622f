"""The small convolutional net: the count of the lecture tables, its arithmetic by hand, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from thetastar.errors import UserError
from thetastar.models.cnn import cnn
from thetastar.protocols import Field, Schema


def schema(side: int = 28, channels: int = 1) -> Schema:
    field = Field("image", (channels, side, side), mean=(0.4,) * channels, std=(0.2,) * channels)
    return Schema(field, Field("category", classes=10))


@pytest.mark.shows("V2")
def test_parameters() -> None:
    with torch.device("meta"):
        counted = sum(parameter.numel() for parameter in cnn(schema()).parameters())
    assert counted == 421_642 == (9 + 1) * 32 + (9 * 32 + 1) * 64 + (7 * 7 * 64 + 1) * 128 + (128 + 1) * 10


@pytest.mark.shows("V2")
def test_forward_by_hand() -> None:
    torch.manual_seed(0)
    f, x = cnn(schema(), channels=(3, 4), hidden=8), torch.rand(2, 1, 28, 28)
    weights = f.state_dict()

    def stage(h: Tensor, name: str) -> Tensor:
        """Windows of 3×3 on zeros around times weights, ReLU, maxima of 2×2."""
        padded = torch.zeros(*h.shape[:2], h.shape[2] + 2, h.shape[3] + 2)
        padded[..., 1:-1, 1:-1] = h
        windows = padded.unfold(2, 3, 1).unfold(3, 3, 1)  # (batch, channels, places, places, 3, 3)
        h = torch.einsum("bchwij,ocij->bohw", windows, weights[f"{name}.weight"])
        h = (h + weights[f"{name}.bias"].view(-1, 1, 1)).clamp_min(0)
        return h.unfold(2, 2, 2).unfold(3, 2, 2).amax((-2, -1))

    h = stage(stage((x - 0.4) / 0.2, "convolutions.0"), "convolutions.3").flatten(1)
    h = (h @ weights["dense.0.weight"].T + weights["dense.0.bias"]).clamp_min(0)
    by_hand = h @ weights["head.weight"].T + weights["head.bias"]
    torch.testing.assert_close(f(x), by_hand, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", [1, 3])
def test_images_that_two_poolings_use_up_are_refused(side: int) -> None:
    with pytest.raises(UserError, match=rf"{side}×{side} images: two poolings leave nothing; expected at least 4×4"):
        cnn(schema(side))
