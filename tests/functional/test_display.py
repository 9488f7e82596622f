"""What stars, verdicts and data show of themselves in a notebook: right figures, well-formed, every word escaped."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import thetastar as ts
from thetastar.functional.display import fragment

EVIL = "<script>alert('x')</script> & \"more\""


def cells(html: str) -> list[list[str]]:
    """The table of a fragment, read by an XML parser: it is well-formed."""
    return [[cell.text or "" for cell in row] for row in ElementTree.fromstring(html).iter("tr")]


def test_every_word_is_escaped() -> None:
    html = fragment(EVIL, [EVIL], [EVIL], [[EVIL]])
    assert "<script" not in html
    assert [node.text for node in ElementTree.fromstring(html).iter() if node.text] == [EVIL] * 4


@pytest.fixture(scope="module")
def star() -> ts.Star:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {EVIL: rng.normal(size=90), "word": rng.choice(["a", "b"], 90), "y": rng.choice([EVIL, "n"], 90)}
    )
    frame.loc[0, EVIL] = np.nan
    return ts.fit(frame, {"name": "mlp", "widths": [4]}, target="y", steps=2)


def test_a_star_shows_its_measures(star: ts.Star) -> None:
    heads, valid = cells(star._repr_html_())
    assert heads == ["split", *star.measures["valid"]]
    assert valid == ["valid", *(f"{value:.4g}" for value in star.measures["valid"].values())]
    assert f"{star.parameters:,} parameters" in star._repr_html_()


def test_data_show_their_splits_and_what_was_decided(star: ts.Star) -> None:
    html = star.stream._repr_html_()
    assert "<script" not in html
    assert cells(html)[1:] == [[split, str(star.stream.size(split))] for split in ("train", "valid", "test")]
    said = [node.text for node in ElementTree.fromstring(html).iter("div")]
    assert set(star.stream.said) <= set(said)


def test_a_verdict_says_itself_in_words_first() -> None:
    verdict = ts.compare("iris", ["softmax", "knn"], seeds=2, budget={"steps": 5})
    html = verdict._repr_html_()
    first = next(ElementTree.fromstring(html).iter("strong")).text
    assert first == verdict.sentences()[0]
    assert len(cells(html)) == 1 + len(verdict.ranked)
