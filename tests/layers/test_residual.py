"""Residual blocks: what they are at gain zero, how dilation replaces stride, and how many weights each form has."""

from __future__ import annotations

import pytest
import torch
from tests.norms import unsettled
from torch import Tensor, nn

from thetastar.layers.residual import (
    BasicBlock,
    Block,
    Bottleneck,
    PreBasicBlock,
    PreBottleneck,
    ZeroPadded,
    closing,
    initialise_residual,
    last_norm,
    stage,
)

BLOCKS = (BasicBlock, Bottleneck, PreBasicBlock, PreBottleneck)
each_block = pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.__name__)


@pytest.mark.shows("V6")
@each_block
def test_without_the_last_gain_a_block_is_the_identity(block: type[Block]) -> None:
    """In eval and in training; on activations where it ends with φ, on anything where it does not."""
    torch.manual_seed(0)
    channels = 8 * block.expansion
    made = unsettled(block(channels, 8))
    x = torch.randn(4, channels, 5, 5)
    x = x if block.preactivates else x.relu()
    assert not torch.allclose(made(x), x, atol=0.1)
    nn.init.zeros_(last_norm(made).weight)
    nn.init.zeros_(last_norm(made).bias)
    assert torch.equal(made(x), x)
    assert torch.equal(made.train()(x), x)
    assert not torch.equal(unsettled(block(channels, 8, shortcut="none"))(x), x)


@pytest.mark.shows("V7")
@each_block
@pytest.mark.parametrize("size", [12, 13])
def test_dilation_in_place_of_stride_gives_the_same_at_every_other_pixel(block: type[Block], size: int) -> None:
    """Two stages of stride 2, and the same weights at stride 1 with dilations 2 and 4: equal at every fourth pixel."""
    torch.manual_seed(size)
    first, second = 6 * block.expansion, 8 * block.expansion
    strided = nn.Sequential(stage(block, 4, 6, 2, stride=2), stage(block, first, 8, 3, stride=2))
    dilated = nn.Sequential(stage(block, 4, 6, 2, dilation=2), stage(block, first, 8, 3, entry=2, dilation=4))
    dilated.load_state_dict(unsettled(strided).state_dict())
    x = torch.randn(2, 4, size, size)
    with torch.no_grad():
        expected, found = strided(x), dilated.eval()(x)
    assert found.shape == (2, second, size, size)
    torch.testing.assert_close(found[:, :, ::4, ::4], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.shows("V6")
def test_weights_of_the_forms_of_a_bottleneck() -> None:
    """64 → 64 → 64 → 256 by hand; 128 wide inside; in 32 groups of 4."""
    counts = [
        sum(p.numel() for name, p in Bottleneck(256, 64, groups=groups, base_width=base).named_parameters())
        for groups, base in ((1, 64), (1, 128), (32, 4))
    ]
    norms = [2 * (inner + inner + 256) for inner in (64, 128, 128)]
    assert counts == [
        256 * 64 + 9 * 64 * 64 + 64 * 256 + norms[0],
        256 * 128 + 9 * 128 * 128 + 128 * 256 + norms[1],
        256 * 128 + 9 * 128 * 4 + 128 * 256 + norms[2],
    ]


@pytest.mark.shows("V6")
def test_zero_padded_shortcut_by_hand() -> None:
    """Every other pixel of odd and even sizes, between as many zeros on either side."""
    x = torch.arange(2 * 2 * 5 * 4.0).reshape(2, 2, 5, 4)
    found = ZeroPadded(2, 2)(x)
    assert found.shape == (2, 4, 3, 2)
    assert torch.equal(found[:, 1:3], torch.stack([x[:, 0, 0:5:2, 0:4:2], x[:, 1, 0:5:2, 0:4:2]], 1))
    assert found[:, 0].count_nonzero() == found[:, 3].count_nonzero() == 0
    assert ZeroPadded(3, 1)(x).shape == (2, 5, 5, 4)
    assert BasicBlock(2, 4, stride=2, shortcut="zeros")(x).shape == (2, 4, 3, 2)


@pytest.mark.shows("V6")
def test_gradients_keep_their_variance_through_convolutions() -> None:
    """He's rule by outputs: a gradient that a ReLU halves comes back as large as it went in."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(64, 128, 3, padding=1, bias=False)
    initialise_residual(convolution)
    x = torch.zeros(1, 64, 16, 16, requires_grad=True)
    sent = torch.randn(1, 128, 16, 16) * (torch.rand(1, 128, 16, 16) < 0.5)
    convolution(x).backward(sent)
    inside = x.grad[:, :, 1:-1, 1:-1]
    assert inside.std().item() == pytest.approx(1.0, abs=0.05)


def test_what_begins_with_its_normalisation_ends_with_one() -> None:
    for block in BLOCKS:
        x = torch.randn(3, 6, 4, 4)
        ended: Tensor = closing(block, 6)(x)
        assert block.preactivates == (ended.min().item() >= 0) == (not torch.equal(ended, x))
