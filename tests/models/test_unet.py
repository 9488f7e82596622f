"""U-Net: published counts, its formula by hand, tiles without seams, and what its copies are for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar import registry
from thetastar.errors import UserError
from thetastar.models.unet import margins, unet
from thetastar.protocols import Field, Schema
from thetastar.recipe import Recipe

RECIPES = Path(__file__).parents[2] / "recipes" / "vision"
pytestmark = pytest.mark.shows("V7")


def schema(channels: int, classes: int, *size: int) -> Schema:
    return Schema(Field("image", (channels, *size)), Field("mask", size, classes=classes))


@pytest.mark.parametrize(
    ("channels", "classes", "options", "count"),
    [
        (1, 2, {"padding": "valid"}, 31_030_658),
        (3, 21, {}, 31_033_045),
        (1, 1, {}, 31_030_593),
        (3, 1, {"norm": "batch"}, 31_037_633),
        (3, 2, {"norm": "batch"}, 31_037_698),
    ],
)
def test_published_parameter_counts(channels, classes, options, count) -> None:
    with torch.device("meta"):
        f = unet(schema(channels, classes, 64, 64), **options)
    assert sum(parameter.numel() for parameter in f.parameters()) == count


@pytest.mark.parametrize("name", ["camvid", "camvid_reduced"])
def test_recipes_of_road_scenes_have_the_parameters_that_they_say(name) -> None:
    path = RECIPES / f"{name}.yaml"
    said = re.search(r"([\d,]+) parameters", path.read_text())
    assert said
    with torch.device("meta"):
        f = registry.build("models", Recipe.from_yaml(path).model, schema(3, 11, 90, 120))
    assert sum(parameter.numel() for parameter in f.parameters()) == int(said[1].replace(",", ""))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (224, 224), (45, 60), (1, 1)])
def test_every_pixel_gets_an_answer(size, padding) -> None:
    with torch.device("meta"):
        f = unet(schema(3, 5, *size), width=8, padding=padding)
        x = torch.zeros(2, 3, *size)
        assert f(x).shape == (2, 5, *size)
        assert f.features(x).shape == (2, f.width, *size)


def test_the_published_tile_of_572_answers_for_388() -> None:
    assert margins(388, 4, "valid") == (92, 92)
    assert sum(margins(4, 4, "valid")) + 4 == 188
    assert margins(240, 4, "same") == (0, 0)
    assert margins(45, 4, "same") == (1, 2)


def by_hand(x: Tensor, state: dict[str, Tensor], depth: int, pad: int, norm: bool, skips: bool = True) -> Tensor:
    """From the weights alone, by the names of the usual checkpoints."""

    def double(h: Tensor, name: str) -> Tensor:
        for place in (0, 3) if norm else (0, 2):
            layer = f"{name}.double_conv.{place}"
            h = F.conv2d(h, state[f"{layer}.weight"], None if norm else state[f"{layer}.bias"], padding=pad)
            if norm:
                layer = f"{name}.double_conv.{place + 1}"
                moments = state[f"{layer}.running_mean"], state[f"{layer}.running_var"]
                h = F.batch_norm(h, *moments, state[f"{layer}.weight"], state[f"{layer}.bias"])
            h = F.relu(h)
        return h

    copies, h = [], double(x, "inc")
    for level in range(1, depth + 1):
        copies.append(h)
        h = double(F.max_pool2d(h, 2), f"down{level}.maxpool_conv.1")
    for level in range(1, depth + 1):
        h = F.conv_transpose2d(h, state[f"up{level}.up.weight"], state[f"up{level}.up.bias"], stride=2)
        copy = copies.pop()
        edges = [(copy.shape[axis] - h.shape[axis]) // 2 for axis in (2, 3)]
        copy = copy[..., edges[0] : edges[0] + h.shape[2], edges[1] : edges[1] + h.shape[3]]
        h = double(torch.cat([copy, h], 1) if skips else h, f"up{level}.conv")
    return F.conv2d(h, state["outc.conv.weight"], state["outc.conv.bias"])


def renamed(f: unet) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in f.state_dict().items():
        ours = next((ours for ours in f.keys if name.startswith(ours)), "")
        found[f.keys.get(ours, "") + name.removeprefix(ours)] = value
    return found


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize("size", [(16, 24), (13, 21), (3, 1)])
def test_the_forward_pass_is_its_formula(size, norm, padding) -> None:
    """On the mirrored image, whose answer is cropped to where the image lies."""
    torch.manual_seed(0)
    f = unet(schema(2, 3, *size), width=2, depth=2, padding=padding, norm=norm).double().eval()
    for name, value in f.state_dict().items():
        if value.ndim == 1:  # biases and moments that are not 0 and 1
            value.copy_(torch.rand_like(value) + 0.1 * ("running_mean" not in name))
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    rows, columns = (margins(side, 2, padding) for side in size)
    whole = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), rows, columns), mode="reflect"))
    out = by_hand(whole, renamed(f), 2, 1 if padding == "same" else 0, norm is not None)
    lost = (whole.shape[2] - out.shape[2]) // 2  # by convolutions without padding, on either side
    top, left = rows[0] - lost, columns[0] - lost
    expected = out[..., top : top + size[0], left : left + size[1]]
    assert expected.shape[2:] == size
    torch.testing.assert_close(f(x), expected, rtol=1e-9, atol=1e-9)


def test_without_padding_tiles_join_without_a_seam() -> None:
    """Cut with their context, tiles answer as the whole image does; zeros around each grid show at the cuts."""
    torch.manual_seed(0)
    f, padded = (unet(schema(1, 2, 32, 32), width=2, depth=2, padding=p).double().eval() for p in ("valid", "same"))
    padded.load_state_dict(f.state_dict())
    x = torch.randn(1, 1, 32, 32, dtype=torch.float64)
    around, _ = margins(12, 2, "valid")  # of an answer of 12, on either side
    context = np.pad(x.numpy(), ((0, 0), (0, 0), (around, around), (around, around)), mode="reflect")
    top, left = 8, 16  # multiples of the coarsest grid's step
    tile = torch.from_numpy(context[..., top : top + 12 + 2 * around, left : left + 12 + 2 * around])

    def near(g: unet, pad: int) -> float:
        whole = g(x)[..., top : top + 12, left : left + 12]
        part = by_hand(tile, renamed(g), 2, pad, norm=False)
        edge = (part.shape[2] - 12) // 2
        return (part[..., edge : edge + 12, edge : edge + 12] - whole).abs().max().item()

    assert near(f, 0) < 1e-12
    alone = by_hand(x[..., top : top + 12, left : left + 12], renamed(padded), 2, 1, norm=False)
    assert (alone - padded(x)[..., top : top + 12, left : left + 12]).abs().max() > 1e-3


def thin_lines(seed: int, rows: int) -> tuple[Tensor, Tensor]:
    """Noise, and a line one pixel thin across it; the mask is the line."""
    draw = torch.Generator().manual_seed(seed)
    mask = torch.zeros(rows, 16, 16, dtype=torch.int64)
    for image, (place, upright) in enumerate(zip(torch.randint(16, (rows,), generator=draw), range(rows), strict=True)):
        (mask[image].T if upright % 2 else mask[image])[place] = 1
    return mask[:, None] + 0.2 * torch.randn(rows, 1, 16, 16, generator=draw), mask


def overlap(skips: bool, seed: int) -> float:
    """Intersection over union of lines on new images, after a few steps."""
    torch.manual_seed(seed)
    f = unet(schema(1, 2, 16, 16), width=4, depth=3, norm="batch", skips=skips)
    optimiser = torch.optim.AdamW(f.parameters(), lr=0.02)
    x, mask = thin_lines(seed, 24)
    for _ in range(25):
        optimiser.zero_grad()
        F.cross_entropy(f(x), mask, torch.tensor([1.0, 5.0])).backward()
        optimiser.step()
    x, mask = thin_lines(100 + seed, 48)
    with torch.no_grad():
        called = f.eval()(x).argmax(1)
    return (((called == 1) & (mask == 1)).sum() / ((called == 1) | (mask == 1)).sum()).item()


def test_thin_structures_need_the_copies() -> None:
    """What three poolings threw away comes back beside them, on every one of four seeds."""
    pairs = [(overlap(True, seed), overlap(False, seed)) for seed in range(4)]
    assert all(copied > 0.4 and left_out < 0.25 for copied, left_out in pairs), pairs


@pytest.mark.parametrize("skips", [True, False])
def test_bfloat16_and_channels_last_say_the_same(skips) -> None:
    torch.manual_seed(0)
    f = unet(schema(3, 4, 24, 20), width=8, depth=2, norm="batch", skips=skips)
    x = torch.randn(2, 3, 24, 20)
    expected = f(x)
    expected.square().mean().backward()
    gradient = f.inc.double_conv[0].weight.grad.flatten().clone()
    torch.testing.assert_close(f.to(memory_format=torch.channels_last)(x), expected, rtol=1e-4, atol=1e-4)
    f.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        out = f(x.to(memory_format=torch.channels_last))
        out.float().square().mean().backward()
    assert (out - expected).abs().mean() < 0.03 * expected.abs().mean()
    assert F.cosine_similarity(f.inc.double_conv[0].weight.grad.flatten(), gradient, dim=0) > 0.9


def test_signals_keep_their_size_through_a_new_net() -> None:
    """Weights have variance 2 / n: after twenty layers without normalisation, logits are neither 0 nor huge."""
    torch.manual_seed(0)
    with torch.no_grad():
        out = unet(schema(1, 8, 32, 32), width=16)(torch.randn(2, 1, 32, 32))
    assert 0.1 < out.std() < 30


def test_it_says_what_it_did_and_refuses_what_it_cannot_use() -> None:
    assert not unet(schema(1, 2, 16, 16), width=1, depth=2).said
    said = unet(schema(1, 2, 18, 13), width=1, depth=2).said
    assert said == ["13×18 images (width × height) are mirrored at their edges to 16×20, for padding same"]
    with pytest.raises(UserError, match="category targets"):
        unet(Schema(Field("image", (1, 8, 8)), Field("category", classes=2)))
    with pytest.raises(UserError, match="vector inputs"):
        unet(Schema(Field("vector", (8,)), Field("mask", (8, 8), classes=2)))
    with pytest.raises(UserError, match="8×8 images with 4×8 masks"):
        unet(Schema(Field("image", (1, 8, 8)), Field("mask", (4, 8), classes=2)))
