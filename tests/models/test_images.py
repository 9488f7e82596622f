"""What every net for images must bear: sizes from 32 to 224, both precisions, channels last."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.norms import unsettled
from torch import Tensor
from torch.nn import functional as F

from thetastar import registry
from thetastar.protocols import Field, Schema

SLIM = {"width": 4, "blocks": [1, 1, 1, 1]}
PATCHES = {"width": 16, "depth": 1}
NETS: dict[str, dict[str, Any]] = {
    "cnn": {"channels": [2, 4], "hidden": 8},
    "lenet5": {"channels": [2, 4], "hidden": [8, 8]},
    "alexnet": {"channels": [4, 6, 8, 6, 4], "hidden": 10, "towers": 2, "local_response": True},
    "vgg11": {"width": 3, "hidden": 8, "norm": "batch"},
    "resnet9": {"width": 4},
    "resnet18": SLIM,
    "resnet50": SLIM,
    "preresnet18": SLIM,
    "resnet20": {"blocks": 1},
    "plain20": {"blocks": 1},
    "wide_resnet28": {"blocks": 1, "widening": 1},
    "vit_tiny": {**PATCHES, "heads": 2},
    "vit_hybrid": {**PATCHES, "heads": 2},
    "deit_tiny": {**PATCHES, "heads": 2},
    "mixer_small": PATCHES,
}


@pytest.mark.shows("V3")
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("side", [32, 64, 224])
def test_shapes_and_gradients_in_both_precisions(name: str, side: int) -> None:
    torch.manual_seed(0)
    field = Field("image", (3, side, side), mean=(0.5,) * 3, std=(0.25,) * 3)
    f = registry.build("models", {"name": name, **NETS[name]}, Schema(field, Field("category", classes=10)))
    x = torch.rand(2, 3, side, side).contiguous(memory_format=torch.channels_last)
    for precision in (False, True):
        with torch.autocast("cpu", torch.bfloat16, precision):
            out = f(x)
        assert out.shape == (2, 10)
        f.zero_grad()
        out.float().square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in f.parameters())


@pytest.mark.shows("V6")
@pytest.mark.parametrize("side", [18, 32])
@pytest.mark.parametrize(
    "spec",
    [
        {"name": "resnet18", "width": 8, "blocks": [1, 1, 1, 1]},
        {"name": "resnet50", "width": 8, "blocks": [1, 1, 1, 1]},
        {"name": "preresnet18", "width": 8, "blocks": [1, 1, 1, 1]},
        {"name": "resnet20", "width": 8, "blocks": 1},
        {"name": "preresnet164", "width": 8, "blocks": 1},
    ],
    ids=lambda spec: spec["name"],
)
def test_gradients_in_bfloat16_and_in_channels_last_are_those_in_float32(spec: dict[str, Any], side: int) -> None:
    torch.manual_seed(0)
    field = Field("image", (3, side, side), mean=(0.5,) * 3, std=(0.25,) * 3)
    f = unsettled(registry.build("models", spec, Schema(field, Field("category", classes=8))))
    x, y = torch.rand(8, 3, side, side), torch.arange(8)

    def gradient(layout: torch.memory_format, *, half: bool) -> Tensor:
        f.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, half):
            loss = F.cross_entropy(f.to(memory_format=layout)(x.to(memory_format=layout)), y)
        loss.backward()
        return torch.cat([p.grad.flatten() for p in f.parameters()])

    plain = gradient(torch.contiguous_format, half=False)
    assert F.cosine_similarity(plain, gradient(torch.channels_last, half=False), dim=0) > 0.9999
    assert F.cosine_similarity(plain, gradient(torch.channels_last, half=True), dim=0) > 0.98
