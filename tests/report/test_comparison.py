"""The page of a comparison: self-contained, escaped, complete."""

from __future__ import annotations

import dataclasses
import re
import shutil

import pytest
import torch

from thetastar import compare
from thetastar.outer.evidence import gather
from thetastar.outer.examples import Examples
from thetastar.outer.folder import load_verdict
from thetastar.outer.verdict import Pair, Question, Row, Verdict
from thetastar.report.comparison import render
from thetastar.run import Run


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


def test_words_of_users_are_escaped(verdict):
    page = render(verdict)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "digits &lt;b&gt;" in page


def test_sentences_come_first_and_everything_is_there(verdict):
    page = render(verdict)
    order = [
        page.index(part)
        for part in (
            "Best: CNN",
            ">The learners</h2>",
            ">Row against column</h2>",
            ">Learning curves</h2>",
            ">The terms</h2>",
        )
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


def test_without_answers_the_page_says_so_and_loses_only_what_rests_on_them(verdict):
    page = render(verdict)
    assert "these runs have none" in page
    assert ">Cost against quality</h2>" in page
    assert ">What was not tuned or not tested</h2>" in page


def answered(tmp_path, kind, names, columns):
    run = Run.create(tmp_path / "run")
    target = {"kind": kind, "shape": [], "classes": len(names) or None, "names": names}
    run.write_json("schema.json", {"schema": {"input": {"kind": "vector", "shape": [1]}, "target": target}})
    run.write_columns("test", {name: torch.tensor(column) for name, column in columns.items()})
    return [run.path]


def test_classes_have_diagrams_confusions_and_the_rows_that_went_wrong(verdict, tmp_path):
    columns = {
        "predicted": [0, 1, 1, 0], "target": [0, 1, 0, 2], "row": [3, 4, 5, 6],
        "confidence": [0.9, 0.8, 0.97, 0.6], "of_truth": [0.9, 0.8, 0.01, 0.2],
    }  # fmt: skip
    runs = {"cnn": answered(tmp_path, "category", ["ant", "bee", "c<at"], columns)}
    kept = Examples(heads=["legs"], cells={5: ["six"], 6: ["four"]}, width=7)
    page = render(dataclasses.replace(verdict, evidence=gather(runs, "test", kept)))
    assert "On average 81.8% sure and 50.0% right: 31.8 points too sure" in page
    assert "<li>ant for bee: 1 of 2 (50.0%)</li>" in page
    assert "c&lt;at" in page
    worst = page[page.index('id="errors"') :]
    assert worst.index("six") < worst.index("four")
    assert "97.0%" in worst
    assert "The first 1 of 7 columns" in worst


def test_numbers_have_predictions_against_the_truth(verdict, tmp_path):
    columns = {"predicted": [1.0, 2.5, 9.0], "target": [1.0, 2.0, 3.0], "row": [0, 1, 2]}
    page = render(
        dataclasses.replace(verdict, evidence=gather({"cnn": answered(tmp_path, "number", [], columns)}, "test"))
    )
    assert ">Predicted and true</h2>" in page
    assert "Half of the errors lie between 0.250 and 3.25" in page
    assert "What these rows hold was not kept" in page


def test_a_finished_comparison_is_read_again_without_its_data(tmp_path):
    out = tmp_path / "bars"
    terms = {"seeds": 2, "budget": {"epochs": 1}, "engine": {"evaluations": 1}}
    verdict = compare("bars", ["softmax", "knn"], out=out, **terms)
    again = load_verdict(out)
    assert again.evidence.rows == verdict.evidence.rows
    assert again.evidence.examples == verdict.evidence.examples
    assert set(verdict.evidence.rows) <= set(verdict.evidence.examples.pictures)
    assert neutral(render(again)) == neutral((out / "report.html").read_text())
    shutil.rmtree(out / "runs")
    assert load_verdict(out).evidence is None


def neutral(page):
    """Without the running numbers of clip paths."""
    return re.sub(r"k\d+-", "", page)
