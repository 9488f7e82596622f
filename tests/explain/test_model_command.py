"""`theta explain model`: known models, remarks to the point, mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import thetastar as ts
from thetastar import registry
from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain import anatomy
from thetastar.explain.model.anatomy import Anatomy
from thetastar.explain.model.formulas import formulas_of
from thetastar.explain.model.subjects import Asked, examined


def read(tmp_path: Path, text: str, shape: tuple[int, ...]) -> Anatomy:
    file = tmp_path / "model.txt"
    file.write_text(text)
    return examined(Asked(str(file), shape=shape)).anatomy


ALEXNET = """Sequential(Conv2d(3, 64, 11, 4, 2), ReLU(), MaxPool2d(3, 2), Conv2d(64, 192, 5, padding=2), ReLU(),
  MaxPool2d(3, 2), Conv2d(192, 384, 3, padding=1), ReLU(), Conv2d(384, 256, 3, padding=1), ReLU(),
  Conv2d(256, 256, 3, padding=1), ReLU(), MaxPool2d(3, 2), AdaptiveAvgPool2d(6), Flatten(), Dropout(),
  Linear(256*6*6, 4096), ReLU(), Dropout(), Linear(4096, 4096), ReLU(), Linear(4096, 1000))"""


def vgg(widths: list[int], norm: bool) -> str:
    parts, depth = [], 3
    for width in widths:
        if not width:
            parts.append("MaxPool2d(2)")
            continue
        parts += [f"Conv2d({depth}, {width}, 3, padding=1)", *([f"BatchNorm2d({width})"] if norm else []), "ReLU()"]
        depth = width
    parts += ["Flatten()", "Linear(25088, 4096)", "ReLU()", "Linear(4096, 4096)", "ReLU()", "Linear(4096, 1000)"]
    return f"Sequential({', '.join(parts)})"


VGG11 = [64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0]
VGG16 = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]


@pytest.mark.shows("X1")
@pytest.mark.parametrize(
    ("text", "parameters"),
    [(ALEXNET, 61_100_840), (vgg(VGG16, False), 138_357_544), (vgg(VGG11, True), 132_868_840)],
    ids=["alexnet", "vgg16", "vgg11_bn"],
)
def test_published_models_have_their_parameters(text: str, parameters: int, tmp_path: Path) -> None:
    assert read(tmp_path, text, (3, 224, 224)).trainable == parameters


@pytest.mark.parametrize(
    ("name", "words", "parameters"),
    [("mlp", (), 535_818), ("cnn", (), 421_642), ("mlp", ("widths=[128,64]",), 109_386)],
)
def test_models_of_the_lecture_have_their_parameters(name: str, words: tuple[str, ...], parameters: int) -> None:
    assert examined(Asked(name, words, shape=(1, 28, 28))).anatomy.trainable == parameters


def test_shapes_of_the_lecture(tmp_path: Path) -> None:
    found = read(tmp_path, "Sequential(Conv2d(3, 100, 5, 2), MaxPool2d(2, 2, 1), Flatten())", (3, 32, 32))
    assert [row.outputs[0] for row in found.rows[1:]] == [(1, 100, 14, 14), (1, 100, 8, 8), (1, 6400)]
    assert formulas_of(found.rows[1])[0].text == "(32 − 5 + 2·0)/2 + 1 = 14.5 → 14"
    stages = "Conv2d(64, 64, 3, 1, 1), Conv2d(64, 128, 3, 2, 1), Conv2d(128, 256, 3, 2, 1), AdaptiveAvgPool2d(1)"
    found = read(tmp_path, f"Sequential(Conv2d(3, 64, 7, 2, 3), MaxPool2d(3, 2, 1), {stages})", (3, 64, 64))
    assert [row.outputs[0][-1] for row in found.rows[2:]] == [16, 16, 8, 4, 1]


def test_recurrent_nets_have_their_gates() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.cell = nn.Embedding(50, 6), nn.GRU(6, 5, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(self.words(x))[0]

    found = anatomy(Reader(), torch.zeros(1, 7, dtype=torch.long))
    texts = {formula.text for row in found.rows for formula in formulas_of(row)}
    assert {"V·D = 50·6 = 300", "3H(C + H + 2) = 3·5(6 + 5 + 2) = 195"} <= texts
    assert found.macs == 7 * 3 * 5 * (6 + 5)


# --- remarks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size", "said"),
    [
        ("Sequential(Conv2d(3, 8, 7, 2, 3), MaxPool2d(3, 2, 1), Conv2d(8, 8, 3))", 32, "of 32×32, 8×8 remain"),
        ("Sequential(Conv2d(3, 8, 7, 2, 3), MaxPool2d(3, 2, 1), Conv2d(8, 8, 3))", 224, ""),
        ("Sequential(Conv2d(3, 8, 16, 16), Flatten(2))", 32, "patches"),
        ("Sequential(Conv2d(3, 8, 16, 16), Flatten(2))", 224, ""),
        ("Sequential(Conv2d(3, 8, 5, 2))", 32, "never reads the last row and last column of its input (14.5 → 14)"),
        ("Sequential(Conv2d(3, 8, 3, 2, 1))", 224, ""),
        ("Sequential(Conv2d(3, 8, 1, 2))", 31, ""),  # between its places it skips as much, as a shortcut is meant to
        ("Sequential(MaxPool2d(3))", 32, "never reads the last 2 rows and last 2 columns"),
        ("Sequential(MaxPool2d(3, ceil_mode=True))", 32, ""),
        ("Sequential(Conv2d(3, 8, 3), BatchNorm2d(8))", 32, "bias=False in 0 spares 8 parameters"),
        ("Sequential(Conv2d(3, 8, 3, bias=False), BatchNorm2d(8))", 32, ""),
        ("Sequential(Conv2d(3, 8, 3), ReLU(), BatchNorm2d(8))", 32, ""),
        ("Sequential(Softmax())", 32, "a warning: Implicit dimension choice for softmax"),
        ("Sequential(AdaptiveAvgPool2d(1), Conv2d(3, 8, 3, padding=1))", 32, "the map is 1×1"),
    ],
)
def test_what_may_be_a_mistake_is_pointed_out(text: str, size: int, said: str, tmp_path: Path) -> None:
    remarks = read(tmp_path, text, (3, size, size)).remarks
    assert said in " ".join(remarks) if said else not remarks


# --- the command ------------------------------------------------------------------------------------------------------

SNIPPET = """import torch.nn as nn

model = nn.Sequential(
    nn.Conv2d(3, 32, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.Conv2d(32, 64, 3, stride=1, padding=1),
    nn.ReLU(),
)
"""


@pytest.mark.shows("X1")
def test_a_snippet_is_printed_with_its_arithmetic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET)
    assert main(["explain", "model", str(file), "--shape", "3,224,224"]) == 0
    out = capsys.readouterr().out
    for part in (
        *("[1, 32, 112, 112]", "[1, 64, 112, 112]", "(224 − 3 + 2·1)/2 + 1 = 112.5 → 112", "1,605,632 bytes"),
        *("K(F²C + 1) = 64(9·32 + 1) = 18,496", "K·F²C·H·W = 64·9·32·112·112 = 231,211,008"),
        "r + d(k − 1)j = 3 + (3 − 1)·2 = 7, stride 2·1 = 2",
    ):
        assert part in out
    assert main(["explain", "model", str(file), "--shape", "3,224,224", "--no-formulas"]) == 0
    assert "112.5" not in capsys.readouterr().out


def test_a_run_and_its_model_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    star = ts.fit("bars", "cnn", steps=1, out=tmp_path / "run")
    assert main(["explain", "model", str(tmp_path / "run"), "--json"]) == 0
    run = json.loads(capsys.readouterr().out)
    assert main(["explain", "model", "cnn", "--data", "bars", "--json"]) == 0
    named = json.loads(capsys.readouterr().out)
    assert run == named
    assert run["totals"]["trainable"] == star.parameters
    html = anatomy(star.program.f, (1, 8, 8))._repr_html_()
    assert "Conv2d" in html
    assert "<script" not in html


def test_every_model_is_explained_or_says_what_it_needs() -> None:
    for name in registry.entries("models"):
        model: Any = registry.load("models", name)
        if model.companions.get("method") == "absorb":
            with pytest.raises(UserError, match="before it has learnt"):
                examined(Asked(name))
        else:
            assert examined(Asked(name)).anatomy.trainable > 0, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cn"], "did you mean 'cnn'?"),
        (["nowhere.py"], "does not exist"),
        (["mlp", "widthz=[3]"], "did you mean 'widths'?"),
        (["mlp", "digits"], "write --data digits"),
        (["mlp", "--shape", "3,x"], "--shape 3,x"),
        (["mlp", "--shape", "3", "--data", "digits"], "--data and --shape"),
        (["cnn", "--shape", "10"], "cnn on vector inputs"),
        (["mlp", "--shape", "99999999999,3"], "at most 1,073,741,824 entries"),
        (["mlp", "--shape", "9", "widths=[99999999999,99999999999]"], "mlp cannot be built"),
        (["mlp", "--shape", "9", "widths=[9,99999999999999999999]"], "mlp cannot be built"),
        (["knn"], "knn has no layers before it has learnt"),
    ],
)
def test_mistakes_are_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "model", *words]) == 2
    told = capsys.readouterr().err.strip()
    assert said in told
    assert "\n" not in told
