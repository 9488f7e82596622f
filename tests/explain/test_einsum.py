"""The einsum topic: its numbers are NumPy's, its words are right, mistakes are one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar.cli import main
from thetastar.errors import UserError
from thetastar.explain.showing import explain


@st.composite
def expressions(draw: st.DrawFn) -> str:
    operands = draw(st.lists(st.text("ijkl", min_size=1, max_size=3), min_size=1, max_size=3))
    letters = sorted(set("".join(operands)))
    output = draw(st.lists(st.sampled_from(letters), unique=True, max_size=len(letters)))
    return ",".join(operands) + "->" + "".join(output)


@pytest.mark.shows("F9")
@settings(max_examples=80, deadline=None)
@given(expressions())
def test_the_numbers_are_numpys(expression: str) -> None:
    data = explain("einsum", [expression]).data
    operands = [np.array(operand) for operand in data["operands"]]
    np.testing.assert_array_equal(np.array(data["result"]), np.einsum(expression, *operands))


@given(st.sampled_from(["ij,jk", "ii", "ba", "ij,ij", "i"]))
def test_implicit_outputs_are_numpys(expression: str) -> None:
    data = explain("einsum", [expression]).data
    operands = [np.array(operand) for operand in data["operands"]]
    np.testing.assert_array_equal(np.array(data["result"]), np.einsum(expression, *operands))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("ab,bc->ac", "the product of two matrices"),
        ("xx->", "the trace"),
        ("bqd,bkd->bqk", "attention scores"),
        ("bchw->bhw", "sums over c"),
        ("abc->cab", "the axes change places"),
        ("iij->j", "'i' twice in 'iij' takes the diagonal"),
    ],
)
def test_it_says_what_is_done(expression: str, words: str) -> None:
    assert words in " ".join(explain("einsum", [expression]).data["words"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ij,jk->il"], "'l' is in the output alone"),
        (["ij->ii"], "'i' is twice in the output"),
        (["ij,jk->ik", "2,3"], "1 shapes for 2 operands"),
        (["ij,jk->ik", "2,3", "4,5"], "'j' is 3 and 4"),
        (["ij->i", "2,x"], "shape '2,x'"),
        (["ij->i", "100000,1000"], "100,000,000 products"),
        (["i,->j"], "einsum 'i,->j'"),
        ([], "without an expression"),
    ],
)
def test_mistakes_are_named(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        explain("einsum", words)


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "topic", "einsum", "ij,jk->ik", "2,2", "2,2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"] == [[7, 10], [15, 22]]
    assert main(["explain", "topic", "einsun", "ij"]) == 2
    assert "did you mean 'einsum'" in capsys.readouterr().err
    assert main(["explain", "topic"]) == 0
    assert "einsum" in capsys.readouterr().out
    assert main(["explain", "topic", "einsum", "ij->i", "--out", "x.svg"]) == 2
    assert "an explanation with a drawing" in capsys.readouterr().err
