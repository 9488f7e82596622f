"""Crops beside views: which sizes an encoder takes, what is resized, and moments that crops do not touch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from thetastar import registry
from thetastar.layers.crops import features_of_views, said_of, smallest
from thetastar.protocols import Field, Model, Schema

SCHEMA = Schema(Field("image", (1, 16, 16)), Field("category", (), classes=3))
VIT = {"name": "vit_tiny", "width": 16, "depth": 1, "heads": 2, "patch": 4}


def built(model: Any) -> Model:
    torch.manual_seed(0)
    return registry.build("models", model, SCHEMA)


@pytest.mark.parametrize(
    ("model", "expected"),
    [("cnn", None), ({"name": "mlp", "widths": [8]}, None), (VIT, (4, 4)), ({"name": "resnet18", "width": 8}, (2, 2))],
)
def test_the_smallest_size_is_found_by_trying(model: Any, expected: tuple[int, int] | None) -> None:
    f = built(model).train()
    before = {name: value.clone() for name, value in f.state_dict().items()}
    assert smallest(f, SCHEMA) == expected
    assert f.training
    assert all(torch.equal(value, before[name]) for name, value in f.state_dict().items())


def test_vectors_have_no_size() -> None:
    schema = Schema(Field("vector", (4,)), Field("category", (), classes=3))
    assert smallest(registry.build("models", "mlp", schema), schema) is None


@pytest.mark.parametrize("model", ["cnn", VIT])
def test_crops_are_seen_as_they_are_where_f_takes_them_and_resized_elsewhere(model: Any) -> None:
    f = built(model).eval()
    views, crops = [torch.rand(3, 1, 16, 16) for _ in range(2)], torch.rand(3, 4, 1, 8, 8)
    least = smallest(f, SCHEMA)
    got = features_of_views(f, views, crops, least)
    assert got.shape == (3, 6, f.width)
    for view in (0, 1):
        torch.testing.assert_close(got[:, view], f.features(views[view]))
    for place in range(4):
        x = crops[:, place]
        x = x if least else F.interpolate(x, size=(16, 16), mode="bilinear", align_corners=False)
        torch.testing.assert_close(got[:, 2 + place], f.features(x))
    said = said_of(f, {"input": views[0], "local": crops}, least)
    assert said == ([] if least else ["crops of 8×8 are resized to 16×16: cnn takes no images of their size"])


def test_moments_of_batch_norm_are_those_of_the_views() -> None:
    f, alone = built({"name": "cnn", "norm": "batch"}).train(), built({"name": "cnn", "norm": "batch"}).train()
    views, crops = [torch.rand(6, 1, 16, 16) for _ in range(2)], torch.rand(6, 2, 1, 8, 8)
    features_of_views(f, views, crops, None)
    features_of_views(alone, views, None, None)
    for name, value in alone.named_buffers():
        assert torch.equal(dict(f.named_buffers())[name], value)
