"""The transformer's block beside torch's own, stochastic depth, and what patches allow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from thetastar.errors import UserError
from thetastar.functional.attention import causal
from thetastar.functional.keys import keyed
from thetastar.layers.dropout import StochasticDepth
from thetastar.layers.patches import ConvStem, PatchEmbed, chosen_patch
from thetastar.layers.transformer import Block, depths
from thetastar.protocols import Field

pytestmark = pytest.mark.shows("V8")


def pair(width: int = 24, heads: int = 3) -> tuple[Block, nn.TransformerEncoderLayer]:
    """Ours and torch's, with the same weights."""
    ours = Block(width, heads, ratio=2.0)
    theirs = nn.TransformerEncoderLayer(
        width, heads, 2 * width, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    names = {
        "self_attn.in_proj_": "attn.qkv.",
        "self_attn.out_proj.": "attn.proj.",
        "linear1.": "mlp.fc1.",
        "linear2.": "mlp.fc2.",
    }
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.3)
    state = ours.state_dict()
    for name, parameter in theirs.named_parameters():
        beginning = next((one for one in names if name.startswith(one)), "")
        parameter.data.copy_(state[name.replace(beginning, names[beginning]) if beginning else name])
    return ours, theirs


@pytest.mark.parametrize("allowed", [None, causal(7)])
def test_torchs_encoder_layer_is_the_same_block(allowed: torch.Tensor | None) -> None:
    ours, theirs = pair()
    x = torch.randn(2, 7, 24, requires_grad=True)
    found = ours(x, allowed)
    expected = theirs(x, src_mask=None if allowed is None else ~allowed)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    slopes = [torch.autograd.grad(out.square().mean(), x)[0] for out in (found, expected)]
    torch.testing.assert_close(slopes[0], slopes[1], atol=1e-5, rtol=1e-5)


def test_whole_examples_are_skipped_and_the_mean_stays() -> None:
    layer = StochasticDepth(0.25).train()
    with keyed(3):
        found = layer(torch.ones(4000, 2, 3))
    assert found.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(found, found[:, :1, :1].expand_as(found))  # all of an example alike
    assert found.mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(layer.eval()(found), found)


def test_deeper_blocks_are_skipped_more_often() -> None:
    assert depths(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert depths(0.3, 1) == [0.0]


def test_patches_are_products_with_a_matrix() -> None:
    layer, x = PatchEmbed(3, 4, 10), torch.randn(2, 3, 8, 12)
    columns = nn.functional.unfold(x, 4, stride=4).transpose(1, 2)  # (batch, patches, channels · 16)
    expected = nn.functional.linear(columns, layer.proj.weight.flatten(1), layer.proj.bias)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("patch", [1, 2, 8, 16])
def test_the_stem_leaves_as_many_tokens_as_patches(patch: int) -> None:
    stem = ConvStem(3, patch, 32)
    assert stem(torch.randn(2, 3, 32, 48)).shape == (2, 32 * 48 // patch**2, 32)
    widths = [layer.out_channels for layer in stem.proj if isinstance(layer, nn.Conv2d)]
    assert widths == {1: [32], 2: [32, 32], 8: [8, 16, 32, 32], 16: [4, 8, 16, 32, 32]}[patch]


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [
        (224, 224, 16),
        (128, 96, 8),
        (96, 96, 12),
        (64, 64, 8),
        (32, 32, 4),
        (28, 28, 4),
        (8, 8, 2),
        (2, 2, 1),
        (1, 1, 1),
    ],
)
def test_automatic_patches(height: int, width: int, side: int) -> None:
    found, grid, said = chosen_patch("auto", Field("image", (3, height, width)), "vit_tiny")
    assert (found, grid) == (side, (height // side, width // side))
    assert said[0].startswith(f"patch: {side}×{side}, ")


@pytest.mark.parametrize(
    ("shape", "patch", "powers", "said"),
    [
        ((3, 30, 30), 16, False, "30×30 images; expected 16×16 or 32×32; .* model.patch of 2, 3, 5, 6, 10, 15"),
        ((3, 65, 97), "auto", False, "65×97 images: no patch .*; expected 64×96 or 80×112"),
        ((1, 8, 8), 16, False, "expected 16×16; .* model.patch of 2, 4, 8"),
        ((1, 1, 1), 4, False, "expected 4×4; .* model.patch of 1"),
        ((3, 24, 24), 12, True, "a power of two"),
    ],
)
def test_patches_that_do_not_fit(shape: tuple[int, int, int], patch: int | str, powers: bool, said: str) -> None:
    with pytest.raises(UserError, match=said):
        chosen_patch(patch, Field("image", shape), "vit_tiny", powers=powers)  # pyright: ignore[reportArgumentType]


def test_no_patches_of_a_vector() -> None:
    with pytest.raises(UserError, match="vit_tiny on vector inputs; expected images"):
        chosen_patch("auto", Field("vector", (9,)), "vit_tiny")
