"""PSPNet: published counts, pyramid pooling by hand, and what the pyramid is for."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.models.pspnet import PyramidPooling, pspnet_resnet50
from thetastar.protocols import Field, Schema

pytestmark = pytest.mark.shows("V7")
TINY = {"width": 4, "blocks": (1, 1, 1, 1)}


def schema(channels: int, classes: int, *size: int) -> Schema:
    return Schema(Field("image", (channels, *size)), Field("mask", size, classes=classes))


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"auxiliary": 0}, 46_592_597),
        ({}, 48_957_802),
        ({"auxiliary": 0, "deep_stem": True}, 46_716_373),
        ({"deep_stem": True}, 49_081_578),
    ],
)
def test_published_parameter_counts(options, count) -> None:
    with torch.device("meta"):
        f = pspnet_resnet50(schema(3, 21, 97, 97), **options)
        assert f.features(torch.zeros(1, 3, 97, 97)).shape == (1, 512, 13, 13)
    assert sum(parameter.numel() for parameter in f.parameters()) == count


@pytest.mark.parametrize("deep_stem", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (224, 224), (97, 130), (1, 1)])
def test_every_pixel_gets_an_answer(size, deep_stem) -> None:
    with torch.device("meta"):
        f = pspnet_resnet50(schema(3, 5, *size), **TINY, deep_stem=deep_stem)
        assert f(torch.zeros(2, 3, *size)).shape == (2, 5, *size)


def test_names_are_those_of_the_usual_checkpoints() -> None:
    f = pspnet_resnet50(schema(3, 5, 8, 8), **TINY, deep_stem=True)
    names: set[str] = set()
    for name in f.state_dict():
        ours = next((ours for ours in f.keys if name.startswith(ours)), "")
        names.add(f.keys.get(ours, "") + name.removeprefix(ours))
    assert not any(name.startswith(("backbone", "head")) for name in names)
    assert {
        "layer0.0.weight", "layer0.1.running_mean", "layer0.3.weight", "layer0.6.weight", "layer0.7.bias",
        "layer1.0.conv1.weight", "layer4.0.downsample.1.weight", "ppm.features.0.1.weight", "ppm.features.3.2.bias",
        "cls.0.weight", "cls.1.running_var", "cls.4.weight", "aux.0.weight", "aux.1.weight", "aux.4.bias",
    } <= names  # fmt: skip


def test_the_forward_pass_is_its_formula() -> None:
    """Means over parts of the grid are taken one by one, parts that share a row where bins do not divide the grid."""
    torch.manual_seed(1)
    f = pspnet_resnet50(schema(3, 5, 30, 21), **TINY)
    for name, value in f.state_dict().items():
        if value.ndim == 1 and "standardise" not in name:
            value.copy_(torch.rand_like(value) + 0.5)
    f.double().eval()
    state, x = f.state_dict(), torch.randn(2, 3, 30, 21, dtype=torch.float64)

    def block(x, name: str, place: int = 0):
        weight, norm = state[f"{name}.{place}.weight"], f"{name}.{place + 1}"
        moments = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        h = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        return F.relu(F.batch_norm(h, *moments, state[f"{norm}.weight"], state[f"{norm}.bias"]))

    h = f.backbone(x)[1]  # tests/layers/test_trunk.py computes it by hand
    rows, columns = h.shape[2:]
    joined = [h]
    for number, bins in enumerate((1, 2, 3, 6)):
        means = torch.empty(2, h.shape[1], bins, bins, dtype=torch.float64)
        for i in range(bins):
            for j in range(bins):
                top, bottom = i * rows // bins, -(-(i + 1) * rows // bins)
                left, right = j * columns // bins, -(-(j + 1) * columns // bins)
                means[:, :, i, j] = h[:, :, top:bottom, left:right].mean((2, 3))
        part = block(means, f"ppm.features.{number}", place=1)
        joined.append(F.interpolate(part, (rows, columns), mode="bilinear", align_corners=True))
    coarse = F.conv2d(block(torch.cat(joined, 1), "cls"), state["head.weight"], state["head.bias"])
    expected = F.interpolate(coarse, (30, 21), mode="bilinear", align_corners=True)
    torch.testing.assert_close(f(x), expected, rtol=1e-9, atol=1e-9)
    (one, main), (share, side) = f.train().heads(x)
    assert (one, share) == (1.0, 0.4)
    assert main.shape == side.shape == (2, 5, 30, 21)
    assert len(f.eval().heads(x)) == 1


def test_the_pyramid_tells_every_place_of_the_whole_image() -> None:
    """A place hangs on the far corner through the bin of the whole image; with the pyramid cut off it sees a window."""
    torch.manual_seed(0)
    f = pspnet_resnet50(schema(1, 2, 120, 120), width=2, blocks=(1, 1, 1, 1), dilated=0, auxiliary=0).double().eval()

    def seen() -> float:
        """Share of the far corner's pixels; poolings by maximum leave some out."""
        x = torch.rand(1, 1, 120, 120, dtype=torch.float64, requires_grad=True)
        h = f.features(x)
        (gradient,) = torch.autograd.grad(h[..., 1, 1].sum(), x)
        return (gradient[..., 112:, 112:] != 0).double().mean().item()

    for parameter in f.parameters():
        parameter.data.abs_().add_(0.01)
    assert seen() > 0.8
    for part in f.ppm.features:
        part[1].weight.data.zero_()
    assert seen() == 0


def test_bins_share_the_channels_of_the_trunk() -> None:
    pooling = PyramidPooling(8, 4, (1, 5))
    assert pooling(torch.randn(2, 8, 3, 2)).shape == (2, 16, 3, 2)
    f = pspnet_resnet50(schema(1, 2, 16, 16), width=4, blocks=(1, 1, 1, 1), bins=(1, 2, 4))
    assert f(torch.randn(2, 1, 16, 16)).shape == (2, 2, 16, 16)


def test_bfloat16_channels_last_and_a_batch_of_one() -> None:
    torch.manual_seed(0)
    f = pspnet_resnet50(schema(3, 4, 24, 20), **TINY)
    f.heads(torch.randn(1, 3, 24, 20))[0][1].sum().backward()
    x, f = torch.randn(2, 3, 24, 20), f.eval()
    expected = f(x)
    torch.testing.assert_close(f.to(memory_format=torch.channels_last)(x), expected, rtol=1e-4, atol=1e-4)
    f.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        out = f(x)
        out.float().square().mean().backward()
    assert (out - expected).abs().mean() < 0.05 * expected.abs().mean()
    assert f.backbone.conv1.weight.grad.isfinite().all()


def test_it_refuses_data_without_masks() -> None:
    with pytest.raises(UserError, match="pspnet_resnet50 with category targets"):
        pspnet_resnet50(Schema(Field("image", (1, 8, 8)), Field("category", classes=2)))
