"""The page of a comparison: self-contained, escaped, complete."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from thetastar.outer.verdict import Pair, Question, Row, Verdict
from thetastar.report.comparison import render
from thetastar.report.curves import svg, ticks


def row(name, quality, low, high):
    test = {"accuracy": quality, "nll": 0.1}
    curves = [[[10, 0.5], [20, 0.9]]] * 3
    costs = {"parameters": 100, "train_seconds": 1.0, "predict_ms": 2.0, "memory": 2**21}
    return Row(name, "finished", None, [0, 1, 2], quality, low, high, [quality] * 3, test, 0.9, curves=curves, **costs)


@pytest.fixture
def verdict():
    question = Question(
        title="digits <b>", task="classification", measure="accuracy", higher=True, root=False, resplit=False,
        seeds=3, trials=0, budget={"epochs": 3}, n_train=800, n_valid=100, n_test=300, rows=1200,
        fingerprint="abc", said=["said"], noise="noise",
    )  # fmt: skip
    rows = [
        row("cnn", 0.97, 0.95, 0.98),
        row("mlp", 0.90, 0.88, 0.92),
        Row("linear", "failed", "<script>alert(1)</script>"),
    ]
    pairs = [Pair("mlp", "cnn", "second", -0.07, -0.09, -0.05, 1e-6, 1e-6, "none", 0, 3)]
    return Verdict(question, rows, pairs, True, False, [], [], {"torch": "2.0", "gpu": None})


def test_nothing_is_fetched_and_nothing_runs(verdict):
    page = render(verdict)
    assert not re.search(r"<script|https?://|@import|url\(|<link|<img|\son\w+=", page)
    assert "&lt;script&gt;alert(1)" in page
    assert "digits &lt;b&gt;" in page


def test_every_tag_is_closed(verdict):
    class Balance(HTMLParser):
        stack: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta",):
                self.stack.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            assert self.stack.pop() == tag

    parser = Balance()
    parser.stack = []
    parser.feed(render(verdict))
    assert parser.stack == []


def test_sentences_come_first_and_everything_is_there(verdict):
    page = render(verdict)
    order = [
        page.index(part)
        for part in ("Best: CNN", "<h2>Learners", "<h2>Row against column", "<h2>Learning curves", "<h2>Terms")
    ]
    assert order == sorted(order)
    for part in (
        "95.0–98.0",
        "beats 7.0 ± 2.0",
        "loses 7.0 ± 2.0",
        "opened once, after every choice",
        "hash abc",
        "Nothing was tuned",
    ):
        assert part in page
    assert "gpu" not in page
    assert "prefers-color-scheme: dark" in page


def test_curves_have_a_line_a_seed_inside_the_frame():
    drawing = svg(
        {"a": [[[0, 0.1], [50, 0.8]], [[0, 0.2], [50, 0.9]]], "b": [[[0, 0.3], [100, 0.4]]]}, "accuracy", True
    )
    lines = re.findall(r'<polyline class="(c\d)" points="([^"]+)"', drawing)
    assert [name for name, _ in lines] == ["c0", "c0", "c1"]
    for _, points in lines:
        for x, y in (map(float, point.split(",")) for point in points.split()):
            assert 0 <= x <= 640
            assert 0 <= y <= 260
    assert svg({}, "accuracy", True) == ""


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.913, 0.998), (3.0, 3.0), (0.0, 0.0), (-2.5, 17.0)])
def test_ticks_cover_the_range_with_round_numbers(low, high):
    found = ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    assert 2 <= len(found) <= 7
