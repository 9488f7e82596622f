"""A Sequential in a file: read as Python would build it, and everything else refused unexecuted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain.model.anatomy import anatomy, example
from thetastar.explain.model.expression import LAYERS, parsed

PAIRS = st.one_of(st.integers(1, 5), st.tuples(st.integers(1, 5), st.integers(1, 5)))
AROUND = ["{}", "model = {}", "import torch.nn as nn\n\nnet: nn.Module = {}\n", '"""x"""\n{}']
Drawn = tuple[str, nn.Module]  # the text, and what Python makes of it


def call(name: str, *arguments: object, **named: object) -> Drawn:
    written = [repr(value) for value in arguments] + [f"{key}={value!r}" for key, value in named.items()]
    return f"nn.{name}({', '.join(written)})", getattr(nn, name)(*arguments, **named)


@st.composite
def layers(draw: st.DrawFn) -> Drawn:
    kind = draw(st.sampled_from(["conv", "up", "pool", "linear", "norm", "act", "shape", "drop"]))
    a, b = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    if kind == "conv":
        padding = draw(st.one_of(PAIRS, st.just("same")))
        return call(f"Conv{draw(st.integers(1, 3))}d", a, b, 3, padding=padding if isinstance(padding, str) else 1)
    if kind == "up":
        return call("ConvTranspose2d", a, b, draw(PAIRS), stride=draw(PAIRS), bias=draw(st.booleans()))
    if kind == "pool":
        return call("MaxPool2d", draw(PAIRS), None, ceil_mode=draw(st.booleans()))
    if kind == "linear":
        return call("Linear", a, out_features=b, bias=draw(st.booleans()))
    if kind == "norm":
        return call(draw(st.sampled_from(["BatchNorm2d", "LayerNorm"])), a, eps=draw(st.floats(1e-9, 1e-3)))
    if kind == "act":
        return call("LeakyReLU", -draw(st.floats(0, 1)), inplace=draw(st.booleans()))
    if kind == "shape":
        return call("Unflatten", 1, (a, b)) if draw(st.booleans()) else call("Flatten", -a)
    return call("Dropout", draw(st.floats(0, 1)))


@st.composite
def sequentials(draw: st.DrawFn, depth: int = 2) -> Drawn:
    nested = st.one_of(layers(), sequentials(depth - 1)) if depth else layers()
    drawn = draw(st.lists(nested, max_size=4))
    return f"nn.Sequential({', '.join(text for text, _ in drawn)})", nn.Sequential(*(layer for _, layer in drawn))


@pytest.mark.shows("X1")
@settings(max_examples=100, deadline=None)
@given(sequentials(), st.sampled_from(AROUND))
def test_what_is_read_is_what_python_builds(drawn: Drawn, around: str) -> None:
    text, built = drawn
    model = parsed(around.format(text))
    assert repr(model) == repr(built)
    assert [(name, p.shape) for name, p in model.named_parameters()] == [
        (name, p.shape) for name, p in built.named_parameters()
    ]
    assert all(p.is_meta for p in model.parameters())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sequential(Linear(2*3 + 1, 2**5))", "Linear(in_features=7, out_features=32"),
        ("torch.nn.Sequential(torch.nn.Linear(9 // 2, -(-8)))", "Linear(in_features=4, out_features=8"),
        ("w = 16\nbody = nn.Sequential(nn.Linear(2, w))\nnn.Sequential(body, nn.Linear(w, 1))", "(0): Linear(in_f"),
        ("Sequential(OrderedDict([('first', ReLU()), ('second', Tanh())]))", "(second): Tanh()"),
        ("nn.Sequential(*[nn.ReLU(), nn.Tanh()])", "(1): Tanh()"),
    ],
)
def test_names_and_arithmetic_of_constants(text: str, expected: str) -> None:
    assert expected in repr(parsed(text))


def test_all_known_layers_exist() -> None:
    assert all(issubclass(getattr(nn, name), nn.Module) for name in LAYERS)


REFUSED = {
    "nn.Sequential(__import__('os').system('touch {gone}'))": "line 1: attribute access __import__('os').system",
    "__import__('os')": "a call of __import__",
    "nn.Sequential(nn.ReLU())\nopen('{gone}', 'w')": "line 2: a call of open",
    "nn.Sequential((lambda: nn.ReLU())())": "a call of lambda",
    "nn.Sequential(*[nn.ReLU() for _ in range(3)])": "starred *[nn.ReLU() for _ in range(3)]",
    "nn.Sequential([nn.ReLU() for _ in range(3)])": "a comprehension [nn.ReLU() for _ in range(3)]",
    "nn.Sequential(*layers)": "starred *layers",
    "nn.Sequential(nn.Linear(2, 2).weight)": "attribute access nn.Linear(2, 2).weight",
    "nn.Sequential(nn.__class__)": "attribute access nn.__class__",
    "nn.Sequential(nn.functional.relu())": "attribute access nn.functional.relu",
    "os.system('touch {gone}')": "attribute access os.system",
    "import os\nnn.Sequential(nn.ReLU())": "line 1: import of os",
    "from os import system\nnn.Sequential()": "import of os",
    "for i in range(3):\n    pass": "a for statement",
    "def f():\n    pass": "a functiondef statement",
    "x = y = nn.Sequential()": "a assign statement",
    "nn.Sequential(nn.Linear(10**9, 10**9))": "3,637,979 TiB in float32",
    "nn.Sequential(nn.Linear(10**12, 10**12))": "line 1",
    "nn.Sequential(nn.Linear(10**10**10, 2))": "the power",
    "nn.Sequential(nn.Linear(9**40, 2))": "a number beyond all layers",
    "nn.Sequential(nn.Linear(1 / 0, 2))": "division by zero",
    "nn.Sequential(nn.Linear((-8)**0.5, 2))": "no real number",
    "nn.Sequential(nn.Linear('a' * 10**9, 2))": "arithmetic with 'a'",
    "nn.Sequential(nn.Linear(2, 2, device='cuda'))": "the argument device",
    "nn.Sequential(nn.Linear(2, **{{}}))": "** of a mapping",
    "nn.Sequential(nn.Linear(2))": "missing 1 required positional argument",
    "nn.Sequential(nn.Linear(f'{{2}}', 2))": "an f-string",
    "nn.Sequential(nn.Linear(b'2', 2))": "a constant b'2'",
    "nn.Sequential(nn.Linear(nn.ReLU(), 2))": "a layer as an argument",
    "nn.Sequential(nn.Dropout(2.0))": "probability",
    "nn.Sequential(nn.Conv2D(3, 3, 3))": "did you mean 'Conv2d'?",
    "nn.Sequential(nn.ModuleList([]))": "a call of nn.ModuleList",
    "nn.Sequential(nn.LSTM(3, 3, 10**9))": "a call of nn.LSTM",
    "nn.Sequential(3)": "3 in a Sequential",
    "nn.Sequential(nn.ReLU()": "line 1: '(' was never closed",
    "nn.ReLU()": "no Sequential",
    "": "no Sequential",
    "nn.Sequential(" * 60 + ")" * 60: "nested too deeply",
    "nn.Sequential(" * 5000 + ")" * 5000: "too many nested parentheses",
    "nn.Sequential(nn.Linear(" + "-" * 30_000 + "1, 2))": "",
    "nn.Sequential(nn.Linear(" + "1+" * 30_000 + "1, 2))": "",
    "nn.Sequential(nn.ReLU())\0": "null",
    "#" * 200_000: "longer than 100,000 bytes",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40] + f"-{len(text)}")
def test_everything_else_is_refused_in_one_line(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = tmp_path / "executed"
    file = tmp_path / "model.py"
    file.write_text(text.replace("{gone}", str(gone)).replace("{{", "{").replace("}}", "}"))
    assert main(["explain", "model", str(file), "--shape", "2"]) == 2
    told = capsys.readouterr().err.strip()
    assert REFUSED[text] in told
    assert "model.py" in told
    assert "\n" not in told
    assert len(told) < 400
    assert not gone.exists()


ODD = st.sampled_from(
    ["0", "1", "2", "8", "-1", "10**9", "(2, 3)", "(1,)", "(1, 2, 3)", "()", "0.5", "True", "None", "'same'", "[1, 2]"]
)
CALLS = st.tuples(st.sampled_from(sorted(LAYERS)), st.lists(ODD, max_size=4))
SHAPES = st.sampled_from([(3,), (4, 8), (2, 9, 9), (1, 4, 5, 6), (3, 10**6, 10**6)])


@settings(max_examples=150, deadline=None)
@given(st.lists(CALLS, min_size=1, max_size=3), SHAPES)
def test_odd_arguments_are_understood_or_refused(calls: list[tuple[str, list[str]]], shape: tuple[int, ...]) -> None:
    text = ", ".join(f"{name}({', '.join(arguments)})" for name, arguments in calls)
    try:
        found = anatomy(parsed(f"Sequential({text})"), example(shape, torch.float32))
    except UserError as error:
        told = str(error)
    else:
        told = json.dumps(found.to_json(formulas=True))
    assert told
    assert "\n" not in told


def test_files_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_bytes(b"\xff\xfe\x00nn.Sequential()")
    assert main(["explain", "model", str(file), "--shape", "2"]) == 2
    with pytest.raises(UserError, match="holds no Sequential"):
        parsed("# nothing")
    assert torch.get_default_device().type != "meta"
