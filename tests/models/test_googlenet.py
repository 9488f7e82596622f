"""GoogLeNet: counts of all forms, its arithmetic by hand, and auxiliary heads that teach but do not answer."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from thetastar.errors import UserError
from thetastar.functional.keys import keyed
from thetastar.methods.supervised import supervised
from thetastar.models.googlenet import googlenet
from thetastar.protocols import Clock, Field, Schema, trainable


def schema(side: int, channels: int = 3, classes: int = 10) -> Schema:
    field = Field("image", (channels, side, side), mean=(0.5,) * channels, std=(0.25,) * channels)
    return Schema(field, Field("category", classes=classes))


def built(side: int = 32, **options: Any) -> googlenet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return googlenet(schema(side), **{"width": 0.05, **options})


@pytest.mark.shows("V5")
@pytest.mark.parametrize(
    ("options", "published"),
    [
        ({}, 7_005_832),
        ({"five": 3}, 6_624_904),
        ({"five": 3, "auxiliary": True}, 13_004_888),
        ({"auxiliary": True}, 13_004_888 + 7_005_832 - 6_624_904),
    ],
)
def test_parameters(options: dict[str, Any], published: int) -> None:
    with torch.device("meta"):
        f = googlenet(schema(224, classes=1000), **options)
    assert sum(parameter.numel() for parameter in f.parameters()) == published


@pytest.mark.shows("V5")
def test_names_and_shapes_are_those_of_the_common_checkpoints() -> None:
    with torch.device("meta"):
        ours = googlenet(schema(224, classes=1000), five=3, auxiliary=True).state_dict()
    shapes = {name: tuple(value.shape) for name, value in ours.items()}
    assert googlenet.keys == {"head.": "fc."}
    expected = {
        "conv1.conv.weight": (64, 3, 7, 7), "conv1.bn.running_var": (64,), "conv3.conv.weight": (192, 64, 3, 3),
        "inception3a.branch1.conv.weight": (64, 192, 1, 1), "inception3a.branch2.0.conv.weight": (96, 192, 1, 1),
        "inception3a.branch2.1.conv.weight": (128, 96, 3, 3), "inception3b.branch3.1.conv.weight": (96, 32, 3, 3),
        "inception4e.branch4.1.conv.weight": (128, 528, 1, 1), "inception5b.branch3.1.bn.bias": (128,),
        "aux1.conv.conv.weight": (128, 512, 1, 1), "aux2.conv.conv.weight": (128, 528, 1, 1),
        "aux1.fc1.weight": (1024, 2048), "aux2.fc2.weight": (1000, 1024), "head.weight": (1000, 1024),
    }  # fmt: skip
    assert shapes.items() >= expected.items()


class ByHand:
    """The net of a state dict, in functions of torch alone; batch norm by its running moments."""

    def __init__(self, f: googlenet) -> None:
        self.weights = f.state_dict()
        generator = torch.Generator().manual_seed(1)
        for name, value in self.weights.items():
            if name.endswith(("bn.running_mean", "bn.bias")):
                value.normal_(0, 0.2, generator=generator)
            if name.endswith(("bn.running_var", "bn.weight")):
                value.uniform_(0.5, 2, generator=generator)

    def conv(self, h: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = self.weights[f"{name}.conv.weight"]
        h = F.conv2d(h, weight, stride=stride, padding=weight.shape[-1] // 2)
        mean, variance, gain, shift = (
            self.weights[f"{name}.bn.{what}"].view(-1, 1, 1)
            for what in ("running_mean", "running_var", "weight", "bias")
        )
        return ((h - mean) / (variance + 1e-3).sqrt() * gain + shift).clamp_min(0)

    def inception(self, h: Tensor, name: str) -> Tensor:
        padded = F.pad(h, (1, 1, 1, 1), value=-math.inf).unfold(2, 3, 1).unfold(3, 3, 1).amax((-2, -1))
        return torch.cat(
            [
                self.conv(h, f"{name}.branch1"),
                self.conv(self.conv(h, f"{name}.branch2.0"), f"{name}.branch2.1"),
                self.conv(self.conv(h, f"{name}.branch3.0"), f"{name}.branch3.1"),
                self.conv(padded, f"{name}.branch4.1"),
            ],
            1,
        )

    def pool(self, h: Tensor, kernel: int = 3) -> Tensor:
        return F.max_pool2d(h, kernel, 2, ceil_mode=True)

    def trunk(self, x: Tensor, *, small: bool, last: int) -> tuple[Tensor, dict[str, Tensor]]:
        h = (x - 0.5) / 0.25
        h = self.conv(h, "conv1") if small else self.pool(self.conv(h, "conv1", 2))
        h = self.pool(self.conv(self.conv(h, "conv2"), "conv3"))
        h = self.pool(self.inception(self.inception(h, "inception3a"), "inception3b"))
        seen = {}
        for letter in "abcde":
            h = seen[letter] = self.inception(h, f"inception4{letter}")
        h = self.inception(self.inception(self.pool(h, last), "inception5a"), "inception5b")
        return h.mean((2, 3)), {"aux1": seen["a"], "aux2": seen["d"]}

    def dense(self, h: Tensor, name: str) -> Tensor:
        return h @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def side(self, h: Tensor, name: str) -> Tensor:
        h = self.conv(F.adaptive_avg_pool2d(h, 4), f"{name}.conv").flatten(1)
        return self.dense(self.dense(h, f"{name}.fc1").clamp_min(0), f"{name}.fc2")


@pytest.mark.shows("V5")
@pytest.mark.parametrize(("five", "side"), [(5, 64), (3, 100)])
def test_forward_by_hand(five: Any, side: int) -> None:
    f = built(side, five=five).eval()
    reference, x = ByHand(f), torch.rand(2, 3, side, side)
    features, _ = reference.trunk(x, small=side < 96, last=3 if five == 5 else 2)
    torch.testing.assert_close(f.features(x), features, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(f(x), reference.dense(features, "head"), atol=1e-5, rtol=1e-4)
    kernel = f.inception3a.branch3[1].conv.kernel_size
    assert kernel == (five, five)


def still(f: googlenet) -> googlenet:
    """In training, but with running moments and no dropout, so that a risk can be computed by hand."""
    f.train()
    for layer in f.modules():
        if isinstance(layer, torch.nn.BatchNorm2d) or type(layer).__name__ == "Dropout":
            layer.eval()
    return f


def risk(f: googlenet, x: Tensor, y: Tensor) -> Tensor:
    method = supervised()
    method.attach(f, schema(32))
    with keyed(3):
        return method.loss(f, {"input": x, "target": y}, Clock(0))[0]


@pytest.mark.shows("V5")
def test_auxiliary_heads_enter_the_risk_while_training() -> None:
    f = still(built(auxiliary=True, dropout=0.0))
    reference, x, y = ByHand(f), torch.rand(3, 3, 32, 32), torch.tensor([0, 4, 9])
    features, middle = reference.trunk(x, small=True, last=3)
    answers = [reference.dense(features, "head"), *(reference.side(h, name) for name, h in middle.items())]
    main, *sides = (-(z - z.logsumexp(1, keepdim=True))[range(3), y].mean().item() for z in answers)
    assert len(sides) == 2
    assert risk(f, x, y).item() == pytest.approx(main + 0.3 * sum(sides), abs=1e-5)
    f.auxiliary_weight = 1.5
    assert risk(f, x, y).item() == pytest.approx(main + 1.5 * sum(sides), abs=1e-5)
    assert risk(f.eval(), x, y).item() == pytest.approx(main, abs=1e-5)


@pytest.mark.shows("V5")
def test_gradients_reach_the_auxiliary_heads_and_nothing_of_them_at_evaluation() -> None:
    f, x, y = built(auxiliary=True), torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    risk(f.train(), x, y).backward()
    assert all(parameter.grad is not None for parameter in trainable(f=f).values())
    f.zero_grad()
    risk(f.eval(), x, y).backward()
    assert {name.split(".")[0] for name, p in f.named_parameters() if p.grad is None} == {"aux1", "aux2"}
    assert [share for share, _ in f.heads(x)] == [1.0]


@pytest.mark.shows("V5")
def test_lower_layers_hear_more_with_auxiliary_heads() -> None:
    """Their share of the gradient at the first convolution is what they are for; λ = 0 takes it away."""
    f, x, y = still(built(auxiliary=True)), torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    heard: dict[float, tuple[Tensor, Tensor]] = {}
    for weight in (0.0, 0.3):
        f.auxiliary_weight = weight
        f.zero_grad()
        risk(f, x, y).backward()
        first, last = f.conv1.conv.weight.grad, f.inception5b.branch1.conv.weight.grad
        assert first is not None
        assert last is not None
        heard[weight] = first.clone(), last.clone()
    assert not torch.allclose(heard[0.0][0], heard[0.3][0], rtol=1e-2)
    torch.testing.assert_close(heard[0.0][1], heard[0.3][1])  # above the second head nothing changes


@pytest.mark.parametrize("side", [32, 64, 224])
def test_shapes_and_gradients_in_both_precisions(side: int) -> None:
    f = built(side, auxiliary=True)
    x = torch.rand(2, 3, side, side)
    for precision in (False, True):
        with torch.autocast("cpu", torch.bfloat16, precision):
            outputs = [out for _, out in f.heads(x.contiguous(memory_format=torch.channels_last))]
        assert [out.shape for out in outputs] == [(2, 10)] * 3
        f.zero_grad()
        sum(out.float().square().mean() for out in outputs).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in f.parameters())


def test_what_the_images_chose() -> None:
    small, large = built(95), built(96)
    assert (small.conv1.conv.kernel_size, small.conv1.conv.stride) == ((3, 3), (1, 1))
    assert (large.conv1.conv.kernel_size, large.conv1.conv.stride) == ((7, 7), (2, 2))
    assert "convolution 3×3, stride 1 in place of" in small.said[0]


@pytest.mark.parametrize(
    ("side", "options", "words"),
    [
        (1, {}, r"images of 1×1: pooling 1 of 3 gets 1×1 and leaves nothing; expected images of at least 8×8"),
        (7, {}, r"pooling 3 of 3 gets 1×1 .* at least 8×8"),
        (8, {"stem": "full"}, r"set model.stem=small"),
    ],
)
def test_what_is_too_small_is_refused(side: int, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        built(side, **options)
