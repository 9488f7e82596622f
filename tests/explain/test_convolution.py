"""The anatomy of a convolution: its steps are those of another library, and the drawing fits on a phone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import correlate2d

from thetastar import cli
from thetastar.errors import UserError
from thetastar.explain.showing import explain

CASES = {
    "plain": "",
    "padded and strided": "size=6 padding=1 stride=2",
    "dilated": "size=6 dilation=2 kernel=2 filters=3",
    "channels and filters": "size=4 channels=2 filters=3",
    "groups": "size=6 padding=1 stride=2 channels=2 filters=4 groups=2",
    "one by one": "size=4 channels=4 filters=2 kernel=1",
    "a single place": "size=3",
}


def kernel_of(row: np.ndarray[Any, Any], asked: dict[str, Any], channel: int) -> np.ndarray[Any, Any]:
    """A filter's kernel for a channel from its row of W, with the holes that dilation leaves."""
    k, d = asked["kernel"], asked["dilation"]
    kernel = np.zeros((d * (k - 1) + 1,) * 2)
    kernel[::d, ::d] = row.reshape(asked["channels"], k, k)[channel]
    return kernel


@pytest.mark.shows("V1")
@pytest.mark.parametrize("case", CASES)
def test_the_steps_are_those_of_correlation(case: str) -> None:
    data = explain("convolution", CASES[case].split()).data
    padded = np.pad(np.array(data["input"]), ((0, 0), (data["padding"],) * 2, (data["padding"],) * 2))
    weights = np.array(data["weights"])
    for o, row in enumerate(weights):
        whole = sum(correlate2d(padded[c], kernel_of(row, data, c), mode="valid") for c in range(data["channels"]))
        assert np.array_equal(data["output"][o], whole[:: data["stride"], :: data["stride"]] + data["bias"][o])
    assert np.array_equal(np.array(data["patches"]) @ weights.T, data["product"])
    assert data["deviations"] == {"steps": 0, "function": 0}
    assert data["adjoint"]["forward"] == data["adjoint"]["backward"]
    if data["groups"] > 1:  # the second group sees nothing of the first channel
        assert not weights[2:, : data["kernel"] ** 2].any()
        assert weights[2:].any()


@pytest.mark.parametrize("case", CASES)
def test_the_drawing_holds_every_number_and_fits_on_a_phone(case: str) -> None:
    shown = explain("convolution", CASES[case].split())
    drawn = [int(word.replace("−", "-")) for word in re.findall(r"middle\">(−?\d+)<", shown.figure)]
    data, border = shown.data, 2 * shown.data["padding"]
    output = np.array(data["output"])
    cells = data["channels"] * (data["size"] + border) ** 2 + np.size(data["patches"]) + np.size(data["weights"])
    assert len(drawn) == cells + 2 * output.size
    assert sorted(drawn[-output.size :]) == sorted(output.flatten().tolist())
    size = re.search(r'width="(\d+)" height="(\d+)"', shown.figure)
    assert size
    assert int(size[1]) <= 374  # 390 less the margins of a page
    ends = [float(x) + float(w) for x, w in re.findall(r'cell" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', shown.figure)]
    assert max(ends) <= int(size[1])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("size=0", "a number from 1 to 7"),
        ("kernel=4 size=2", "it fits nowhere"),
        ("groups=2", "1 channels and 1 filters in 2 groups"),
        ("size=7 kernel=1", "a matrix of 49 × 1 patches"),
        ("stride=1.5", "a whole number"),
        ("strid=2", "did you mean 'stride'?"),
    ],
)
def test_mistakes_are_named(words: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        explain("convolution", words.split())
    assert said in str(error.value)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "topic", "convolution", "padding=1", "--out", str(tmp_path / "c.svg")]) == 0
    said = capsys.readouterr().out
    for step in ("1. Patches", "2. Weights", "3. Bias", "4. Reshape", "(5 + 2·1 − (3 − 1) − 1)/1⌋ + 1 = 5"):
        assert step in said
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    assert cli.main(["explain", "topic", "convolution", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["output"]
