"""Texts as tokens: what is learnt from which rows, round trips, padding, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar.data.prepare.tokens import END, PAD, START, UNKNOWN, Tokens, padded
from thetastar.data.texts import phrases, texts
from thetastar.errors import UserError

pytest.importorskip("tokenizers")
LINES = ["The old film was great!", "A new play, rather dull.", "the film was new"] * 4


@pytest.mark.shows("S1")
@pytest.mark.parametrize("unit", ["word", "character", "bpe", "wordpiece"])
def test_known_texts_come_back(unit: str) -> None:
    tokens = Tokens.trained(LINES, unit, 400)  # type: ignore[arg-type]
    again = Tokens.from_json(tokens.to_json())
    for line in LINES:
        (ids,) = tokens.encode([line])
        assert min(ids) > UNKNOWN or unit == "word"
        assert again.encode([line]) == [ids]
        text = tokens.decode(ids)
        assert text.replace(" ", "") == line.lower().replace(" ", "") or UNKNOWN in ids


@pytest.mark.parametrize("unit", ["word", "character", "bpe", "wordpiece"])
def test_the_same_texts_make_the_same_tokeniser(unit: str) -> None:
    """Also among words that are equally frequent, of which there are many here."""
    random = np.random.default_rng(0)
    letters = list("abcdefghijklmnop")
    lines = [" ".join("".join(random.choice(letters, 6)) for _ in range(8)) for _ in range(60)] * 2
    made = [Tokens.trained(lines, unit, 300).encode(lines) for _ in range(4)]  # type: ignore[arg-type]
    assert all(one == made[0] for one in made)


@pytest.mark.shows("S1")
@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_pieces_of_bytes_hold_any_text(line: str) -> None:
    import unicodedata

    tokens = Tokens.trained(LINES, "bpe", 400)
    (ids,) = tokens.encode([line])
    expected = unicodedata.normalize("NFKC", line).lower()
    assert tokens.decode(ids).removeprefix(" ") == expected.removeprefix(" ")


def test_rows_begin_end_and_are_filled_up() -> None:
    out = padded([[7, 8], [7, 8, 9, 10, 11]], 5)
    np.testing.assert_array_equal(out, [[START, 7, 8, END, PAD], [START, 7, 8, 9, END]])


def test_the_tokeniser_knows_nothing_of_rows_that_are_not_trained_on() -> None:
    frame = pd.DataFrame({"text": [*LINES, "unheard unheard words words"], "y": [0, 1, 0] * 4 + [1]})
    source = texts(frame=frame, target="y")
    _, columns = source.prepare(np.arange(12))
    assert (columns["input"][12][1:5] == UNKNOWN).all()
    source.prepare(np.arange(13))
    assert source.tokens.encode(["unheard"])[0][0] != UNKNOWN


def test_what_is_said_and_kept() -> None:
    source = phrases(rows=40)
    schema, columns = source.prepare(np.arange(30))
    assert (schema.input.kind, schema.input.shape) == ("tokens", (11,))
    assert schema.input.classes == len(source.tokens)
    assert schema.target.names == ("blame", "praise")
    assert "tokens by word; 11 a text" in source.said[-1]
    again = texts.restore(source.state())
    row = source.written[3]
    assert (again.transform(row)["input"][0] == columns["input"][3]).all()
    assert again.transform([row, row])["input"].shape == (2, 11)
    assert again.transform(pd.DataFrame({"text": [row]}))["input"].shape == (1, 11)


def test_bad_input_is_refused_in_one_line() -> None:
    frame = pd.DataFrame({"text": LINES, "size": range(12), "y": [0, 1, 0] * 4})
    with pytest.raises(UserError, match="no column 'txt' of texts"):
        texts(frame=frame, target="y", text="txt")
    with pytest.raises(UserError, match="has no column of texts"):
        texts(frame=frame.drop(columns="text").assign(other=np.random.default_rng(0).random(12)), target="y")
    source = texts(frame=frame, target="y")
    source.prepare(np.arange(12))
    with pytest.raises(UserError, match="rows without 'text'"):
        source.transform(pd.DataFrame({"body": ["a"]}))
