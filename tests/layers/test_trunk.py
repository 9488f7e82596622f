"""The dilated trunk: the strided net's own values at more places, and as wide a field of view."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.layers.trunk import Trunk

pytestmark = pytest.mark.shows("V7")


def normalised(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    moments = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, *moments, state[f"{name}.weight"], state[f"{name}.bias"])


def by_hand(x: Tensor, state: dict[str, Tensor], strides: list[int], dilations: list[list[int]]) -> list[Tensor]:
    """Stem of stride 1 and four stages, from the weights alone; returns each stage's output."""
    h = F.relu(normalised(F.conv2d(x, state["conv1.weight"], padding=1), state, "bn1"))
    outputs: list[Tensor] = []
    for stage, (stride, each) in enumerate(zip(strides, dilations, strict=True), 1):
        for number, d in enumerate(each):
            name, s = f"layer{stage}.{number}", stride if number == 0 else 1
            out = F.relu(normalised(F.conv2d(h, state[f"{name}.conv1.weight"]), state, f"{name}.bn1"))
            out = F.conv2d(out, state[f"{name}.conv2.weight"], stride=s, padding=d, dilation=d)
            out = F.conv2d(F.relu(normalised(out, state, f"{name}.bn2")), state[f"{name}.conv3.weight"])
            out = normalised(out, state, f"{name}.bn3")
            if number == 0:
                h = normalised(
                    F.conv2d(h, state[f"{name}.downsample.0.weight"], stride=s), state, f"{name}.downsample.1"
                )
            h = F.relu(out + h)
        outputs.append(h)
    return outputs


def disturbed(trunk: Trunk) -> Trunk:
    """Batch norms that are not the identity."""
    torch.manual_seed(1)
    for name, value in trunk.state_dict().items():
        if "bn" in name or "downsample.1" in name:
            value.copy_(torch.rand_like(value.float()) + 0.5)
    return trunk.double().eval()


@pytest.mark.parametrize(
    ("options", "strides", "dilations"),
    [
        ({"dilated": 0}, [1, 2, 2, 2], [[1, 1], [1, 1], [1, 1], [1, 1]]),
        ({"dilated": 1}, [1, 2, 2, 1], [[1, 1], [1, 1], [1, 1], [1, 2]]),
        ({"dilated": 2}, [1, 2, 1, 1], [[1, 1], [1, 1], [1, 2], [2, 4]]),
        ({"dilated": 2, "whole": True}, [1, 2, 1, 1], [[1, 1], [1, 1], [2, 2], [4, 4]]),
    ],
)
def test_the_trunk_is_its_formula(options, strides, dilations) -> None:
    trunk = disturbed(Trunk(3, 2, (2, 2, 2, 2), small=True, **options))
    x = torch.randn(2, 3, 19, 26, dtype=torch.float64)
    third, fourth = trunk(x)
    *_, expected_third, expected_fourth = by_hand(x, trunk.state_dict(), strides, dilations)
    torch.testing.assert_close(third, expected_third)
    torch.testing.assert_close(fourth, expected_fourth)


@pytest.mark.parametrize("size", [(64, 64), (37, 50)])
def test_dilation_returns_the_strided_values_and_those_between(size) -> None:
    """At every fourth place the dilated trunk says what the strided one does; not if whole stages are dilated alike."""
    strided, dilated, whole = (
        disturbed(Trunk(3, 2, (1, 2, 2, 2), dilated=count, whole=whole))
        for count, whole in ((0, False), (2, False), (2, True))
    )
    dilated.load_state_dict(strided.state_dict())
    whole.load_state_dict(strided.state_dict())
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    coarse, fine = strided(x)[1], dilated(x)[1]
    assert fine.shape[2:] == tuple(-(-side // 8) for side in size)
    torch.testing.assert_close(fine[..., ::4, ::4], coarse)
    assert not torch.allclose(whole(x)[1][..., ::4, ::4], coarse)


def reach(trunk: Trunk, side: int = 97) -> int:
    """Pixels along a row on which the middle of the last stage depends."""
    for parameter in trunk.parameters():
        parameter.data.abs_().add_(0.01)  # nothing cancels and no ReLU is off: the gradient shows all that is read
    x = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    out = trunk(x)[1]
    middle = out.shape[-1] // 2
    (gradient,) = torch.autograd.grad(out[0, :, middle, middle].sum(), x)
    return int((gradient[0, 0].abs().sum(0) > 0).sum())


def test_dilation_keeps_the_field_of_view_that_strides_gave() -> None:
    """1 + Σ (kernel − 1) · step · dilation over the 3×3 of stem, first, second, third and fourth stage."""

    def tiny(**options) -> Trunk:
        return Trunk(1, 1, (1, 1, 1, 1), small=True, **options).double().eval()

    strided = 1 + 2 * (1 + 1 + 1 + 2 + 4)
    assert reach(tiny(dilated=0)) == reach(tiny(dilated=2)) == strided
    assert reach(tiny(dilated=2, whole=True)) == 1 + 2 * (1 + 1 + 1 + 2 * 2 + 2 * 4)
    undone = tiny(dilated=2)
    undone.layer4[0].conv2.dilation = undone.layer4[0].conv2.padding = (1, 1)
    assert reach(undone) < strided, "without stride and without dilation it sees less"
