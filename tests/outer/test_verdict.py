"""From per-example results to rows, pairs and sentences; figures recomputed by hand."""

from __future__ import annotations

import io
import itertools
import json

import numpy as np
import pytest
from rich.console import Console

from thetastar.outer import wording
from thetastar.outer.verdict import Question, Row, Verdict, grade, judge


def question(**changes):
    values = {
        "title": "made up", "task": "classification", "measure": "accuracy", "higher": True, "root": False,
        "resplit": False, "seeds": 3, "trials": 0, "budget": {"epochs": 3}, "n_train": 1000, "n_valid": 200,
        "n_test": 400, "rows": 1600, "fingerprint": "abc", "said": [], "noise": None,
    }  # fmt: skip
    return Question(**{**values, **changes})


def verdict_of(columns, q, *, partial=False, openings=(), failed=()):
    rows = [Row(name, "finished", seeds=sorted(by_seed), test={q.measure: 0.5}) for name, by_seed in columns.items()]
    binary = all(np.isin(column, (0, 1)).all() for by_seed in columns.values() for column in by_seed.values())
    for row in rows:
        grade(row, columns[row.name], q, binary)
    pairs = judge(rows, columns, q)
    rows += [Row(name, "failed", reason=reason) for name, reason in failed]
    return Verdict(q, rows, pairs, binary, partial, list(openings), [], {"torch": "2.0"})


def right_or_wrong(rates, seeds=3, examples=400, seed=0):
    """Learners that are wrong where an example is hard for all, so that they are paired."""
    random = np.random.default_rng(seed)
    hard = random.random(examples)
    return {
        name: {s: (hard + 0.02 * random.standard_normal(examples) < rate).astype(float) for s in range(seeds)}
        for name, rate in rates.items()
    }


@pytest.mark.shows("P5")
def test_a_clear_difference_is_a_verdict_and_a_small_one_is_not():
    columns = right_or_wrong({"mlp": 0.80, "cnn": 0.95, "knn": 0.805})
    found = verdict_of(columns, question())
    assert found.ranked[0].name == "cnn"
    assert found.pair("cnn", "mlp").outcome == "first"
    assert found.pair("mlp", "cnn").outcome == "second"
    assert found.pair("mlp", "knn").outcome == "open"
    assert found.sentences()[0].startswith("Best: CNN (accuracy")
    assert "not enough evidence" in found.sentence()
    assert "this training sample" in found.sentence()
    assert "Nothing was tuned." in found.sentences()


def test_the_difference_is_the_mean_of_paired_differences_in_points():
    columns = right_or_wrong({"mlp": 0.6, "cnn": 0.9})
    found = verdict_of(columns, question())
    by_hand = np.mean([columns["cnn"][s] - columns["mlp"][s] for s in range(3)])
    pair = found.pair("cnn", "mlp")
    assert pair.difference == pytest.approx(by_hand)
    half = 100 * (pair.high - pair.low) / 2
    assert f"CNN beats MLP by {100 * by_hand:.1f} ± {half:.1f} points" in found.sentence()


def test_errors_are_compared_squared_and_said_in_the_targets_units():
    """√a − √b from squared errors: the difference that is shown is exactly that of the two RMSEs."""
    random = np.random.default_rng(1)
    noise = random.standard_normal(300) ** 2
    columns = {"linear": dict.fromkeys(range(3), 9.0 * noise), "mlp": dict.fromkeys(range(3), 25.0 * noise)}
    q = question(task="regression", measure="rmse", higher=False, root=True)
    found = verdict_of(columns, q)
    pair = found.pair("linear", "mlp")
    root = np.sqrt(noise.mean())
    assert found.ranked[0].name == "linear"
    assert found.ranked[0].quality == pytest.approx(3 * root)
    assert pair.outcome == "first"
    assert pair.difference == pytest.approx(2 * root)
    assert "Linear beats MLP by" in found.sentence()
    assert " in RMSE" in found.sentence()
    assert "points" not in found.sentence()


def test_seeds_of_only_one_learner_do_not_enter_a_pair():
    columns = right_or_wrong({"mlp": 0.6, "cnn": 0.9})
    del columns["cnn"][2]
    found = verdict_of(columns, question(), partial=True)
    assert found.pair("cnn", "mlp").seeds == 2
    assert "Partial" in found.sentence()


def test_one_finished_split_of_several_gives_no_verdict():
    columns = {name: {0: by_seed[0]} for name, by_seed in right_or_wrong({"mlp": 0.5, "cnn": 0.9}).items()}
    found = verdict_of(columns, question(resplit=True), partial=True)
    assert found.pairs == []
    assert "does not separate" in found.sentence()


def test_redrawn_splits_may_have_other_examples():
    random = np.random.default_rng(4)
    columns = {
        name: {s: (random.random(50 + s) < rate).astype(float) for s in range(5)}
        for name, rate in (("a", 0.95), ("b", 0.3))
    }
    found = verdict_of(columns, question(resplit=True, seeds=5, n_test=52, n_train=160, rows=260))
    assert found.pair("a", "b").outcome == "first"
    assert "repeated cross-validation" in found.sentence()


@pytest.mark.parametrize(("seeds", "words"), [(1, "One seed"), (3, "share one split")])
def test_it_says_what_the_seeds_were(seeds, words):
    columns = right_or_wrong({"mlp": 0.5, "cnn": 0.9}, seeds=seeds)
    assert words in verdict_of(columns, question(seeds=seeds)).sentence()


def test_a_pair_that_would_pass_alone_is_named():
    found = None
    for seed in range(40):
        columns = right_or_wrong({"a": 0.80, "b": 0.83, "c": 0.815, "d": 0.81}, seed=seed)
        found = verdict_of(columns, question())
        if any(pair.outcome == "open" and pair.p <= 0.05 for pair in found.pairs):
            break
    assert "Looked at alone" in found.sentence()


def test_failures_and_earlier_openings_are_said():
    columns = right_or_wrong({"mlp": 0.5, "cnn": 0.9})
    found = verdict_of(columns, question(), openings=["2026-01-01T00:00:00Z"], failed=[("svm", "RuntimeError: broken")])
    assert "Svm failed: RuntimeError: broken." in found.sentences()
    assert "opened before" in found.sentence()
    assert "2026-01-01" in found.sentence()


def test_json_and_back_is_the_same_verdict():
    found = verdict_of(right_or_wrong({"mlp": 0.5, "cnn": 0.9}), question(), failed=[("svm", "broken")])
    again = Verdict.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert again.sentences() == found.sentences()


def test_the_matrix_is_antisymmetric_and_the_table_has_every_learner():
    found = verdict_of(right_or_wrong({"mlp": 0.5, "cnn": 0.9}), question(), failed=[("svm", "broken")])
    assert wording.mark(found.pair("cnn", "mlp"), found).startswith("beats")
    assert wording.mark(found.pair("mlp", "cnn"), found).startswith("loses")
    assert found.table().row_count == 3
    assert found.matrix().row_count == 2
    assert list(found.table().columns[0].cells) == ["CNN", "MLP", "svm"]


@pytest.mark.parametrize("width", [44, 60, 80, 200])
def test_a_narrow_terminal_shows_fewer_columns_and_folds_no_figure(width):
    found = verdict_of(right_or_wrong({"mlp": 0.5, "cnn": 0.9, "knn": 0.6, "softmax": 0.55}), question())
    page = Console(width=width, file=io.StringIO())
    page.print(found.table(width))
    page.print(found.matrix(width))
    lines = page.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for row in found.ranked:
        assert any(wording.quality(row, found) in line for line in lines)
    for better, worse in itertools.combinations(found.ranked, 2):
        assert any(wording.mark(found.pair(better.name, worse.name), found) in line for line in lines)
    shown = lines[2]
    left_out = " ".join(lines).partition("for want of width:")[2]
    assert all(head in shown or head in left_out for head in wording.columns(found) if head != "tuned")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123456, "0.0123"), (1234567.0, "1,234,567"), (12.345, "12.3"), (None, "–"), (0.0, "0")]
)
def test_figures_have_three_digits(value, text):
    assert wording.figure(value) == text


@pytest.mark.parametrize(
    ("measure", "values", "low", "high"), [("jaccard", (0.1, 0.9), 0, 1), ("mse", (0.1, 9.0), 0, None)]
)
def test_intervals_keep_to_what_a_measure_can_be(measure, values, low, high):
    columns = {seed: np.full(40, value) for seed, value in enumerate(values)}
    row = Row("mlp", "finished", seeds=[0, 1], test={measure: 0.5})
    grade(row, columns, question(measure=measure, resplit=True, seeds=2, n_test=40, rows=160), binary=False)
    assert row.low == low
    assert row.high > row.quality
    assert high is None or row.high == high
