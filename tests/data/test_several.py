"""Targets of several answers: recognised, said, and the same however they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thetastar import compare, star
from thetastar.defaults import data_spec, open_stream
from thetastar.errors import UserError

NAMES = ("heavy", "red", "round")


def drawn(rows: int = 90) -> tuple[pd.DataFrame, np.ndarray]:
    x = np.random.default_rng(0).standard_normal((rows, 4))
    return pd.DataFrame(x, columns=list("pqrs")), (x[:, :3] > 0).astype(np.float32)


def written(there: np.ndarray, how: str) -> list[object]:
    sets = [[name for name, one in zip(NAMES, row, strict=True) if one] for row in there]
    return [tuple(labels) if how == "list" else how.join(labels) or None for labels in sets]


@pytest.mark.parametrize("how", ["; ", "|", ", "])
def test_labels_in_one_column_are_read_however_they_are_written(how: str) -> None:
    frame, there = drawn()
    frame["tags"] = written(there, how)
    task = "multi-label" if how == ", " else "auto"
    stream = open_stream({"name": "table", "frame": frame, "target": "tags", "task": task})
    assert stream.schema.target.kind == "categories"
    assert stream.schema.target.names == NAMES
    assert (stream.columns["target"].numpy() == there).all()
    assert any(f"{int((there.sum(1) == 0).sum())} rows have none" in line for line in stream.said)


def test_lists_survive_parquet_and_json_lines(tmp_path: Path) -> None:
    frame, there = drawn()
    frame["tags"] = [list(labels) for labels in written(there, "list")]
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "b.jsonl", orient="records", lines=True)
    for name in ("a.parquet", "b.jsonl"):
        stream = open_stream({**data_spec(tmp_path / name)["source"], "target": "tags"})
        assert (stream.columns["target"].numpy() == there).all()


def test_classes_with_commas_stay_classes() -> None:
    frame, _ = drawn()
    frame["place"] = ["Paris, France", "Lyon, France", "Rome, Italy"] * 30
    assert open_stream({"name": "table", "frame": frame, "target": "place"}).schema.target.classes == 3
    frame["kind"] = ["a;b", "b;a", "a;c"] * 30
    asked = {"name": "table", "frame": frame, "target": "kind", "task": "classification"}
    assert open_stream(asked).schema.target.kind == "category"


@pytest.mark.parametrize("target", ["red,round", ["red", "round"]])
def test_columns_of_no_and_yes_are_labels(target: object) -> None:
    frame, there = drawn()
    frame["red"], frame["round"] = there[:, 0].astype(int), np.where(there[:, 1] > 0, "Yes", "No")
    stream = open_stream({"name": "table", "frame": frame, "target": target})
    assert stream.schema.task == "multi-label classification"
    assert (stream.columns["target"].numpy() == there[:, :2]).all()
    assert stream.schema.target.names == ("red", "round")
    assert stream.schema.input.names == tuple("pqrs")


def test_columns_of_numbers_are_several_numbers() -> None:
    frame, _ = drawn()
    stream = open_stream({"name": "table", "frame": frame, "target": "p,s"})
    assert (stream.schema.target.kind, stream.schema.target.shape) == ("number", (2,))
    expected = frame[["p", "s"]].to_numpy()
    assert stream.columns["target"].numpy() == pytest.approx(expected, rel=1e-6)
    train = expected[stream.rows["train"]]
    assert stream.schema.target.std == pytest.approx(train.std(0), rel=1e-5)


def test_a_column_whose_name_holds_a_comma_is_itself() -> None:
    frame, _ = drawn()
    frame["q,r"] = frame["q"] + frame["r"]
    assert open_stream({"name": "table", "frame": frame, "target": "q,r"}).schema.target.shape == ()


@pytest.mark.parametrize(
    ("target", "task", "message"),
    [
        ("p,word", "auto", "'word' holds words"),
        ("p,tail", "auto", "did you mean 'tall'"),
        ("p,p", "auto", "'p' 2 times"),
        ("p,tall", "multi-label", "'p' holds more than no and yes"),
        ("word", "multi-label", "one label only"),
    ],
)
def test_targets_that_do_not_go_together_are_refused(target: str, task: str, message: str) -> None:
    frame, there = drawn()
    frame["word"], frame["tall"] = "a", there[:, 0].astype(int)
    with pytest.raises(UserError, match=message):
        open_stream({"name": "table", "frame": frame, "target": target, "task": task})


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_a_comparison_ends_with_a_verdict_and_answers_carry_names(kind: str, tmp_path: Path) -> None:
    frame, there = drawn(200)
    if kind == "labels":
        frame["tags"] = written(there, ";")
        target, measure = "tags", "jaccard"
    else:
        frame["wide"], frame["high"] = 1000 * frame["p"], frame["q"] - 0.01 * frame["r"]
        target, measure = "wide,high", "mse"
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = {"name": str(tmp_path / "a.csv"), "target": target}
    verdict = compare(data, ["knn", "decision_tree"], seeds=3)
    assert verdict.question.measure == measure
    assert verdict.pairs[0].outcome in ("first", "second", "open")
    assert all(row.state == "finished" for row in verdict.rows)
    found = star.fit(data, model="decision_tree", out=tmp_path / "run")
    again = star.load(tmp_path / "run")
    assert again.schema.target.names == (NAMES if kind == "labels" else ("wide", "high"))
    assert (again.predict(frame) == found.predict(frame)).all()


def test_numbers_in_other_units_give_the_same_verdict_and_the_same_trees() -> None:
    """Whatever the unit: errors and splits count each number in units of its own deviation."""
    frame, _ = drawn(200)
    qualities = []
    for unit in (1.0, 1024.0):
        frame["wide"], frame["high"] = unit * np.abs(frame["p"]), np.abs(frame["q"])
        forest = {"name": "random_forest", "trees": 5}
        verdict = compare({"name": "table", "frame": frame, "target": "wide,high"}, [forest, "decision_tree"], seeds=2)
        qualities.append([row.quality for row in verdict.rows])
    assert qualities[0] == pytest.approx(qualities[1], rel=1e-3)
