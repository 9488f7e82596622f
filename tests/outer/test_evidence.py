"""Counts, diagrams and worst rows, recomputed by hand from answers that were written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from thetastar.outer import evidence
from thetastar.run import Run

NAMES = ["ant", "bee", "cat"]


def written(path, columns, kind="category", names=NAMES, split="test"):
    """A run folder that holds nothing but its answers."""
    run = Run.create(path)
    target = {"kind": kind, "shape": [], "classes": len(names) or None, "names": names}
    run.write_json("schema.json", {"schema": {"input": {"kind": "vector", "shape": [2]}, "target": target}})
    run.write_columns(split, {name: torch.tensor(np.asarray(column)) for name, column in columns.items()})
    return path


def judged(truth, said, confidence, row):
    said, truth, confidence = map(np.asarray, (said, truth, confidence))
    of_truth = np.where(said == truth, confidence, 0.1)
    return {"predicted": said, "target": truth, "confidence": confidence, "of_truth": of_truth, "row": np.asarray(row)}


@pytest.fixture
def two(tmp_path):
    """One learner with two seeds on one split, another on the same rows."""
    truth, row = [0, 0, 1, 2], [10, 11, 12, 13]
    a0 = judged(truth, [0, 1, 1, 0], [0.9, 0.8, 0.7, 0.6], row)
    a1 = judged(truth, [0, 1, 2, 2], [0.9, 0.6, 0.9, 0.6], row)
    b = judged(truth, [0, 2, 1, 2], [0.5, 0.4, 0.7, 0.9], row)
    return {
        "a": [written(tmp_path / "a0", a0), written(tmp_path / "a1", a1)],
        "b": [written(tmp_path / "b0", b)],
    }


def test_counts_of_seeds_are_pooled_as_scikit_learn_counts_them(two):
    found = evidence.gather(two, "test")
    assert found.names == tuple(NAMES)
    assert not found.redrawn
    assert (found.answers["a"].seeds, found.answers["a"].count) == (2, 8)
    by_hand = confusion_matrix([0, 0, 1, 2, 0, 0, 1, 2], [0, 1, 1, 0, 0, 1, 2, 2])
    np.testing.assert_array_equal(found.answers["a"].confusion, by_hand)
    count, _, frequency = found.answers["a"].reliability
    assert count.sum() == 8
    assert frequency[9] == pytest.approx(2 / 3)  # 0.9 three times, wrong once


def test_the_surest_mistakes_come_first_and_say_how_many_seeds_make_them(two):
    worst = evidence.gather(two, "test").answers["a"].worst
    assert [mistake.row for mistake in worst] == [11, 12, 13]
    first = worst[0]
    assert (first.truth, first.said, first.wrong, first.seeds) == (0, 1, 2, 2)
    assert first.probability == pytest.approx(0.7)
    assert first.score == pytest.approx(0.7)
    assert (worst[1].said, worst[1].wrong, worst[1].score) == (2, 1, pytest.approx(0.45))


def test_hard_rows_are_those_that_every_learner_misses_in_most_seeds(two):
    hard = evidence.gather(two, "test").hard
    assert [(mistake.row, mistake.wrong, mistake.seeds) for mistake in hard] == [(11, 3, 3)]


def test_splits_drawn_anew_count_each_row_as_often_as_it_was_tested(tmp_path):
    paths = [
        written(tmp_path / "0", judged([0, 1], [1, 1], [0.8, 0.9], [5, 6])),
        written(tmp_path / "1", judged([1, 2], [0, 2], [0.6, 0.9], [6, 7])),
    ]
    found = evidence.gather({"a": paths}, "test")
    worst = found.answers["a"].worst
    assert [(mistake.row, mistake.wrong, mistake.seeds) for mistake in worst] == [(5, 1, 1), (6, 1, 2)]
    assert found.redrawn


def test_with_two_classes_the_diagram_is_of_the_second(tmp_path):
    answers = judged([0, 1, 1], [0, 1, 0], [0.9, 0.8, 0.7], [0, 1, 2])
    answers["of_truth"] = np.array([0.9, 0.8, 0.3])
    found = evidence.gather({"a": [written(tmp_path / "r", answers, names=["no", "yes"])]}, "test")
    count, mean, frequency = found.answers["a"].reliability
    assert count.sum() == 3
    np.testing.assert_allclose(mean[count > 0], [0.1, 0.3, 0.8])
    np.testing.assert_allclose(frequency[count > 0], [0, 1, 1])


def test_numbers_have_points_residuals_and_the_largest_errors(tmp_path):
    truth = np.arange(20.0)
    answers = {"target": truth, "predicted": truth + np.where(truth == 3, -5.0, 0.5), "row": np.arange(20)}
    near = {**answers, "predicted": truth + 0.1}
    runs = {"a": [written(tmp_path / "a", answers, "number", [])], "b": [written(tmp_path / "b", near, "number", [])]}
    found = evidence.gather(runs, "test")
    edges, counts = found.answers["a"].residuals
    assert counts.sum() in (19, 20)
    assert edges[0] == -edges[-1]
    assert found.answers["a"].points.shape == (20, 2)
    assert (found.answers["a"].worst[0].row, found.answers["a"].worst[0].score) == (3, 5.0)
    assert found.hard[0].score == pytest.approx(0.1)  # the better of two answers on every row


def test_answers_that_are_no_numbers_are_left_out(tmp_path):
    answers = {"target": [1.0, 2.0, 3.0], "predicted": [1.5, np.nan, np.inf], "row": [0, 1, 2]}
    found = evidence.gather({"a": [written(tmp_path / "a", answers, "number", [])]}, "test")
    assert found.answers["a"].count == 1
    assert [mistake.row for mistake in found.answers["a"].worst] == [0]
    none = {"target": [1.0], "predicted": [np.nan]}
    assert evidence.gather({"a": [written(tmp_path / "b", none, "number", [])]}, "test") is None


def test_runs_without_answers_are_no_evidence(tmp_path):
    bare = written(tmp_path / "r", {"accuracy": [1.0, 0.0]})
    assert evidence.gather({"a": [bare]}, "test") is None
    assert evidence.gather({}, "test") is None
