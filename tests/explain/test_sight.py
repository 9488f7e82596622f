"""What an output of a convolutional net sees, by calculus, is where the gradient of the image is not zero."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thetastar import cli, registry
from thetastar.explain import anatomy
from thetastar.explain.model.anatomy import Anatomy
from thetastar.explain.model.sight import Seen
from thetastar.functional.convolution import Window
from thetastar.protocols import Field, Model, Schema

THIN: dict[str, Any] = {"width": 4, "blocks": [1, 1, 1, 1]}
# the last layer before anything that sees the whole image, and a size that is larger than what it sees
TRUNKS: dict[str, tuple[dict[str, Any], str, int]] = {
    "cnn": ({"channels": [2, 3], "hidden": 4}, "convolutions.5", 20),
    "lenet5": ({}, "convolutions.5", 32),
    "resnet9": ({"width": 2}, "layer3", 192),
    "resnet18": ({**THIN, "stem": "full"}, "layer4.0", 512),
    "resnet18 whole": ({"width": 2, "stem": "small"}, "layer4.1", 224),
    "resnet50": ({**THIN, "stem": "full"}, "layer4.0", 512),
    "resnet20": ({"width": 2}, "layer3", 128),
    "alexnet": ({"channels": [2, 2, 2, 2, 2], "hidden": 4, "stem": "full"}, "convolutions.12", 320),
    "alexnet towers": ({"channels": [2, 4, 4, 4, 2], "towers": 2, "local_response": True, "hidden": 4}, "", 320),
    "vgg11": ({"width": 2, "hidden": 4}, "convolutions.20", 256),
    "vgg16": ({"width": 2, "hidden": 4, "norm": "batch"}, "convolutions.43", 320),
    "googlenet": ({"width": 0.06, "blocks": [1, 2, 1], "stem": "full"}, "inception5a", 640),
}


def made(name: str, size: int, **arguments: Any) -> Model:
    schema = Schema(Field("image", (1, size, size)), Field("category", classes=3))
    return registry.build("models", {"name": name.split()[0], **arguments}, schema, where="model")


def positive(f: nn.Module) -> nn.Module:
    """Every weight a share of what comes in and no bias: nothing cancels, no unit is off where something arrives."""
    for module in f.modules():
        for name, parameter in module.named_parameters(recurse=False):
            flat = isinstance(module, nn.Conv2d) and name == "weight"
            nn.init.constant_(parameter, 1 / parameter[0].numel() if flat else float(name == "weight"))
    return f.double().eval()


def seen_by(found: Anatomy, path: str) -> Seen:
    seen = [row.seen for row in found.rows if row.path == path][-1]
    assert seen is not None
    return seen


def hears(f: nn.Module, layer: nn.Module, size: int, place: int, pixels: list[tuple[int, int]]) -> list[bool]:
    """Whether an output of the layer hears of each pixel: the gradient there, of images that are dark elsewhere.

    Elsewhere 0, the largest number of a pooling's window is what came from the pixel, if anything did.
    """
    x = torch.zeros(len(pixels), 1, size, size, dtype=torch.float64)
    for image, (row, column) in zip(x, pixels, strict=True):
        image[0, row, column] = 1.0
    x.requires_grad_()
    kept: list[Tensor] = []
    with layer.register_forward_hook(lambda module, given, out: kept.append(out)):
        f.features(x)  # type: ignore[operator]
    (gradient,) = torch.autograd.grad(kept[0][:, :, place, place].sum(), x)
    return [bool(one[0, row, column] != 0) for one, (row, column) in zip(gradient, pixels, strict=True)]


@pytest.mark.shows("V1")
@pytest.mark.parametrize("case", TRUNKS)
def test_windows_of_convolutional_nets_are_the_support_of_the_gradient(case: str) -> None:
    arguments, path, size = TRUNKS[case]
    f = positive(made(case, size, **arguments))
    path = path or f"convolutions.{len(f.convolutions) - 1}"  # type: ignore[arg-type]
    seen = seen_by(anatomy(f, (1, size, size)), path)
    layer = f.get_submodule(path)
    down, across = seen.windows
    first = next(i for i in range(size) if down.start + i * down.stride >= 1)  # the first place whose window is inside
    for place in (first, first + 1):
        top, bottom = within(down, place, size)
        left, right = within(across, place, size)
        middle = (top + bottom) // 2
        pixels = [(top, left), (bottom, right), (top - 1, left), (bottom + 1, right), (top, left - 1)]
        assert hears(f, layer, size, place, [*pixels, (middle, right + 1)]) == [True] * 2 + [False] * 4
        assert bottom - top + 1 == down.size


def within(window: Window, place: int, size: int) -> tuple[int, int]:
    first, last = window.seen(place, size)
    assert 0 < first <= last < size - 1, "choose a larger image"
    return first, last


@pytest.mark.parametrize(
    ("name", "path", "field", "stride"),
    [  # Araujo, Norris and Sim 2019, table 1; a ResNet whose strides are in its 3×3 convolutions sees 8 + 16 + 32 less
        ("alexnet", "convolutions.12", 195, 32),
        ("vgg16", "convolutions.30", 212, 32),
        ("resnet50", "layer4.2", 483 - 56, 32),
        ("resnet101", "layer4.2", 1027 - 56, 32),
    ],
)
def test_receptive_fields_are_the_published(name: str, path: str, field: int, stride: int) -> None:
    with torch.device("meta"):
        f = made(name, 224)
    seen = seen_by(anatomy(f, (1, 224, 224)), path)
    assert [(w.size, w.stride) for w in seen.windows] == [(field, stride)] * 2


@pytest.mark.shows("V1")
@pytest.mark.parametrize(
    ("name", "local", "everything"),
    [
        ("cnn", "convolutions", "dense"),
        ("vgg11", "convolutions", "avgpool"),
        ("resnet18", "layer4", "avgpool"),
        ("vit_tiny", "blocks.0.norm1", "blocks.0"),
        ("mixer_small", "blocks.0.norm1", "blocks.0"),
    ],
)
def test_means_dense_layers_and_attention_see_everything_and_that_is_said(
    name: str, local: str, everything: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with torch.device("meta"):
        f = made(name, 64)
    found = anatomy(f, (1, 64, 64))
    assert not seen_by(found, local).everything
    for path in (everything, "head", ""):
        assert seen_by(found, path).everything, path
    assert cli.main(["explain", "model", name, "--shape", "1,64,64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "global" in next(line for line in lines if line.startswith("head "))
