"""Fully convolutional net and DeepLabv3 on the dilated trunk: published counts, formulas by hand, the second head."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar import registry
from thetastar.errors import UserError
from thetastar.functional.masks import VOID
from thetastar.methods.supervised import supervised
from thetastar.models.dilated import RATES, deeplabv3_resnet50, fcn_resnet50
from thetastar.protocols import Clock, Field, Schema

pytestmark = pytest.mark.shows("V7")
TINY = {"width": 2, "blocks": (1, 1, 1, 1)}


def schema(channels: int, classes: int, *size: int) -> Schema:
    return Schema(Field("image", (channels, *size)), Field("mask", size, classes=classes))


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("fcn_resnet50", {"auxiliary": 0}, 32_957_013),
        ("fcn_resnet50", {}, 35_322_218),
        ("deeplabv3_resnet50", {"auxiliary": 0}, 39_638_869),
        ("deeplabv3_resnet50", {}, 42_004_074),
        ("fcn_resnet50", {"blocks": [3, 4, 23, 3]}, 54_314_346),
        ("deeplabv3_resnet50", {"blocks": [3, 4, 23, 3]}, 60_996_202),
    ],
)
def test_published_parameter_counts(name, options, count) -> None:
    with torch.device("meta"):
        f = registry.build("models", {"name": name, **options}, schema(3, 21, 224, 224))
    assert sum(parameter.numel() for parameter in f.parameters()) == count


@pytest.mark.parametrize("kind", [fcn_resnet50, deeplabv3_resnet50])
@pytest.mark.parametrize(
    ("size", "grid"), [((32, 32), (16, 16)), ((64, 64), (32, 32)), ((224, 224), (28, 28)), ((97, 130), (13, 17))]
)
def test_every_pixel_gets_an_answer(kind, size, grid) -> None:
    with torch.device("meta"):
        f = kind(schema(3, 5, *size), **TINY)
        x = torch.zeros(2, 3, *size)
        assert f(x).shape == (2, 5, *size)
        assert f.features(x).shape == (2, f.width, *grid)
    assert len(f.said) == 1


def test_names_are_those_of_the_usual_checkpoints() -> None:
    f = deeplabv3_resnet50(schema(3, 5, 8, 8), **TINY)
    (ours, theirs), names = next(iter(f.keys.items())), set(f.state_dict())
    names = {theirs + name.removeprefix(ours) if name.startswith(ours) else name for name in names}
    assert {
        "backbone.conv1.weight", "backbone.bn1.running_var", "backbone.layer3.0.downsample.1.bias",
        "classifier.0.convs.0.0.weight", "classifier.0.convs.3.1.running_mean", "classifier.0.convs.4.1.weight",
        "classifier.0.convs.4.2.bias", "classifier.0.project.0.weight", "classifier.1.weight", "classifier.2.weight",
        "classifier.4.bias", "aux_classifier.0.weight", "aux_classifier.1.weight", "aux_classifier.4.weight",
    } <= names  # fmt: skip


def block(x: Tensor, state: dict[str, Tensor], name: str, dilation: int = 1, place: int = 0) -> Tensor:
    """Convolution that keeps the grid, batch norm, ReLU, from the weights alone."""
    weight, norm = state[f"{name}.{place}.weight"], f"{name}.{place + 1}"
    h = F.conv2d(x, weight, padding=dilation * (weight.shape[-1] // 2), dilation=dilation)
    moments = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
    return F.relu(F.batch_norm(h, *moments, state[f"{norm}.weight"], state[f"{norm}.bias"]))


def disturbed(f):
    torch.manual_seed(1)
    for name, value in f.state_dict().items():
        if value.ndim == 1 and "standardise" not in name:
            value.copy_(torch.rand_like(value) + 0.5)
    return f.double().eval()


@pytest.mark.parametrize("kind", [fcn_resnet50, deeplabv3_resnet50])
def test_the_forward_pass_is_its_formula(kind) -> None:
    f = disturbed(kind(schema(3, 5, 30, 21), width=4, blocks=(1, 1, 1, 1)))
    state, x = f.state_dict(), torch.randn(2, 3, 30, 21, dtype=torch.float64)
    h = f.backbone(x)[1]  # tests/layers/test_trunk.py computes it by hand
    if kind is deeplabv3_resnet50:
        pyramid = [block(h, state, "classifier.0.convs.0")]
        pyramid += [block(h, state, f"classifier.0.convs.{i}", rate) for i, rate in enumerate(RATES, 1)]
        pyramid.append(block(h.mean((2, 3), True), state, "classifier.0.convs.4", place=1).expand_as(pyramid[0]))
        h = block(torch.cat(pyramid, 1), state, "classifier.0.project")
        h = block(h, state, "classifier", place=1)
    else:
        h = block(h, state, "classifier")
    coarse = F.conv2d(h, state["head.weight"], state["head.bias"])
    expected = F.interpolate(coarse, (30, 21), mode="bilinear", align_corners=False)
    torch.testing.assert_close(f(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("weight", [0.4, 1.5])
def test_the_second_head_enters_the_risk_while_training(weight) -> None:
    """R = ℓ(f(x), y) + weight · ℓ(side(x), y) over pixels that are not void; outside training, and at 0, ℓ alone."""
    sizes = schema(3, 4, 10, 12)
    f = fcn_resnet50(sizes, **TINY, auxiliary=weight)
    for part in (f.classifier, f.aux_classifier):
        part[3].p = 0.0  # dropout, whose masks would differ below
    method = supervised()
    method.attach(f, sizes)
    x, y = torch.randn(3, 3, 10, 12), torch.randint(4, (3, 10, 12))
    y[:, :2] = VOID
    risk, _ = method.loss(f, {"input": x, "target": y}, Clock(0))
    third, fourth = f.backbone(x)
    logits = f.head(f.classifier(fourth)), f.aux_classifier(third)
    main, side = (F.cross_entropy(F.interpolate(z, (10, 12), mode="bilinear"), y, ignore_index=VOID) for z in logits)
    torch.testing.assert_close(risk, main + weight * side)
    risk.backward()
    assert f.aux_classifier[4].weight.grad.abs().sum() > 0
    f.eval()
    risk, _ = method.loss(f, {"input": x, "target": y}, Clock(0))
    torch.testing.assert_close(risk, F.cross_entropy(f(x), y, ignore_index=VOID))
    alone = fcn_resnet50(sizes, **TINY, auxiliary=0)
    assert not any(name.startswith("aux") for name in alone.state_dict())
    assert len(alone.train().heads(x)) == 1


@pytest.mark.parametrize("kind", [fcn_resnet50, deeplabv3_resnet50])
def test_bfloat16_and_channels_last_say_the_same(kind) -> None:
    torch.manual_seed(0)
    f = kind(schema(3, 4, 24, 20), width=4, blocks=(1, 1, 1, 1)).eval()
    x = torch.randn(2, 3, 24, 20)
    expected = f(x)
    torch.testing.assert_close(f.to(memory_format=torch.channels_last)(x), expected, rtol=1e-4, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        out = f(x)
        out.float().square().mean().backward()
    assert (out - expected).abs().mean() < 0.05 * expected.abs().mean()
    assert f.backbone.conv1.weight.grad.isfinite().all()


def test_one_image_is_a_batch_for_deeplab_too() -> None:
    f = deeplabv3_resnet50(schema(3, 4, 8, 8), **TINY)
    f.heads(torch.randn(1, 3, 8, 8))[0][1].sum().backward()
    assert f.backbone.conv1.weight.grad.isfinite().all()


def test_it_refuses_data_without_masks() -> None:
    with pytest.raises(UserError, match="fcn_resnet50 with category targets"):
        fcn_resnet50(Schema(Field("image", (1, 8, 8)), Field("category", classes=2)))
