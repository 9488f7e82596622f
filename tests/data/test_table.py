"""Tables: the task is read right, nothing is fitted on held-out rows, what is stored prepares rows as training did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar import star
from thetastar.data.table import table
from thetastar.defaults import open_stream
from thetastar.errors import UserError

ROWS = 40
X = np.linspace(-1, 1, ROWS)


def source(y: Any, task: Any = "auto", **columns: Any) -> table:
    return table(frame=pd.DataFrame({"x": X, **columns, "y": y}), target="y", task=task)


def mixed(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Numbers with gaps, words with gaps, dates, truth values and a number as target."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": random.normal(3, 2, rows),
            "whole": random.integers(0, 9, rows),
            "word": random.choice(["red", "green", "blue"], rows),
            "flag": random.random(rows) < 0.5,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 99, rows), "D"),
            "y": random.choice(["yes", "no"], rows),
        }
    )
    frame.loc[::7, "number"] = np.nan
    frame.loc[::9, "word"] = None
    return frame


@pytest.mark.parametrize(
    ("y", "task", "kind", "words"),
    [
        (["a", "b"] * 20, "auto", "category", "classification into 2 classes, from the word target 'y'"),
        ([" a ", "b"] * 20, "auto", "category", "classification into 2 classes, from the word target 'y'"),
        ([True, False] * 20, "auto", "category", "classification into 2 classes, from the boolean target 'y'"),
        ([0, 1] * 20, "auto", "category", "classification into 2 classes, from the integer target 'y'"),
        ([-1, 1] * 20, "auto", "category", "classification into 2 classes, from the integer target 'y'"),
        ([3, 5, 7, 9] * 10, "auto", "category", "classification into 4 classes, from the integer target 'y' (task="),
        (list(range(ROWS)), "auto", "number", "regression of one number, from the integer target 'y' (40 distinct"),
        ([n // 2 for n in range(ROWS)], "auto", "number", "regression of one number, from the integer target 'y' (20"),
        ([0.5, 1.5] * 20, "auto", "number", "regression of one number, from the real target 'y'"),
        (X**2, "auto", "number", "regression of one number, from the real target 'y'"),
        (pd.Categorical([1, 2] * 20), "auto", "category", "classification into 2 classes, from the word target 'y'"),
        (pd.array([1, 2] * 20, dtype="Int64"), "auto", "category", "classification into 2 classes, from the integer"),
        ([3, 5, 7, 9] * 10, "regression", "number", "regression of one number, from the integer target 'y' (4 dis"),
        ([0.5, 1.5] * 20, "classification", "category", "classification into 2 classes, from the real target 'y'"),
        ([0.0, 1.0] * 20, "auto", "category", "classification into 2 classes, from the integer target 'y'"),
        ([1998, 2001, 2004, 2007] * 10, "auto", "number", "regression of one number, from the integer target 'y' (4 d"),
        ([2019, 2020] * 20, "auto", "category", "classification into 2 classes, from the integer target 'y'"),
        (["0,5", "1,5", "7", "2,25"] * 10, "auto", "number", "regression of one number, from the real target 'y'"),
        (["$1,200", "$950"] * 20, "regression", "number", "regression of one number, from the integer target 'y'"),
        (["01", "02", "03", "11"] * 10, "auto", "category", "classification into 4 classes, from the word target 'y'"),
    ],
)
def test_the_task_is_read_off_the_target_and_said(y: Any, task: str, kind: str, words: str) -> None:
    made = source(y, task)
    assert made.target.kind == kind
    assert made.said[0].startswith(words)
    assert (made.strata is not None) == (kind == "category")


def test_class_names_are_the_words_of_the_data_and_codes_point_to_them() -> None:
    made = source([" late ", "early", "never", "early"] * 10)
    assert made.target.names == ("early", "late", "never")
    assert [made.target.names[code] for code in made.targets[:4]] == ["late", "early", "never", "early"]
    assert source([30, 4] * 20).target.names == ("4", "30")


def test_encoding_by_hand() -> None:
    frame = pd.DataFrame({"n": [1.0, np.nan, 5.0, 100.0], "w": ["b", "a", "?", "c"], "y": [1.0, 2, 3, 4]})
    made = table(frame=frame, target="y")
    schema, columns = made.prepare([0, 1, 2])
    # the median of 1 and 5 fills the gap; 'c' is not seen in training and shares 'unknown' with the missing word
    expected = [[1, 0, 0, 1, 0], [3, 1, 1, 0, 0], [5, 0, 0, 0, 1], [100, 0, 0, 0, 1]]
    assert schema.input.names == ("n", "n missing", "w=a", "w=b", "w=unknown")
    assert columns["input"].tolist() == expected
    train = np.asarray(expected[:3], dtype=np.float64)
    np.testing.assert_allclose(schema.input.mean, train.mean(0))
    np.testing.assert_allclose(schema.input.std, train.std(0))
    assert schema.target.mean == (2.0,)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), held=st.lists(st.integers(0, 59), min_size=1, max_size=30, unique=True))
def test_nothing_is_fitted_on_held_out_rows(seed: int, held: list[int]) -> None:
    frame = mixed()
    train = np.setdiff1d(np.arange(60), held)
    other, random = frame.copy(), np.random.default_rng(seed)
    other.loc[held, "number"] = random.normal(1e6, 1e6, len(held))
    other.loc[held, "whole"] = random.integers(1000, 2000, len(held))
    other.loc[held, "word"] = random.choice(["mauve", "ochre", "red"], len(held))
    first, second = table(frame=frame, target="y"), table(frame=other, target="y")
    (schema, columns), (schema2, columns2) = first.prepare(train), second.prepare(train)
    assert schema == schema2
    assert first.columns == second.columns
    assert torch.equal(columns["input"][train], columns2["input"][train])


def test_a_column_that_varies_only_in_held_out_rows_is_left_out() -> None:
    made = source([0, 1] * 20, late=[0] * 30 + [1] * 10)
    schema, _ = made.prepare(np.arange(30))
    assert schema.input.names == ("x",)
    assert "column 'late' left out: it is always 0 in the training rows" in made.said


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [5], list(range(60))])
def test_what_is_stored_prepares_rows_as_training_did(rows: list[int]) -> None:
    frame = mixed()
    made = table(frame=frame, target="y")
    _, columns = made.prepare(np.arange(50))
    stored = table.restore(json.loads(json.dumps(made.state())))
    part, expected = frame.iloc[rows], columns["input"][rows]
    assert torch.equal(stored.transform(part)["input"], expected)
    assert torch.equal(stored.transform(part.drop(columns="y"))["input"], expected)
    assert torch.equal(stored.transform(part[part.columns[::-1]])["input"], expected)
    assert torch.equal(stored.transform(part.to_dict("records"))["input"], expected)
    assert torch.equal(stored.transform(part.drop(columns="y").to_numpy().tolist())["input"], expected)
    if len(rows) == 1:
        assert torch.equal(stored.transform(part.iloc[0].to_dict())["input"], expected)


def test_a_file_is_read_for_prediction_as_for_training(tmp_path: Path) -> None:
    frame = mixed().drop(columns="day")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    made = table(path=str(tmp_path / "rows.csv"), target="y")
    _, columns = made.prepare(np.arange(60))
    assert torch.equal(made.transform(tmp_path / "rows.csv")["input"], columns["input"])
    direct = table(frame=frame, target="y").prepare(np.arange(60))[1]["input"]
    torch.testing.assert_close(direct, columns["input"])


def test_text_parquet_and_other_separators_hold_the_same_table(tmp_path: Path) -> None:
    frame = mixed().drop(columns="day")
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "b.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "c.csv", index=False, sep=";")
    frame.to_parquet(tmp_path / "d.parquet")
    made = [table(path=str(path), target="y") for path in sorted(tmp_path.iterdir())]
    inputs = [each.prepare(np.arange(60))[1]["input"] for each in made]
    for other in inputs[1:]:
        torch.testing.assert_close(inputs[0], other)
    assert any("separated by ';'" in line for line in made[2].said)


def test_an_unseen_word_is_unknown_and_a_missing_number_the_median() -> None:
    made = source([0, 1] * 20, w=["a", "b", "c", "c"] * 10)
    made.prepare(np.arange(ROWS))
    row = made.transform({"x": None, "w": "zebra"})["input"][0]
    assert row.tolist() == [pytest.approx(np.median(X)), 0, 0, 0, 1]


def test_the_most_frequent_words_are_kept_and_the_rest_are_other() -> None:
    words = [f"common{n:02d}" for n in range(50) for _ in range(4)] + [f"rare{n}" for n in range(30) for _ in range(2)]
    frame = pd.DataFrame({"w": words, "y": [0, 1] * (len(words) // 2)})
    made = table(frame=frame, target="y")
    schema, columns = made.prepare(np.arange(len(words)))
    assert schema.input.names == (*(f"w=common{n:02d}" for n in range(50)), "w=other", "w=unknown")
    assert columns["input"].sum(0).tolist() == [4.0] * 50 + [60.0, 0.0]
    assert "column 'w': 30 seldom values of 80 are read as 'other'" in made.said


def test_a_word_in_fewer_than_one_row_of_a_thousand_is_other() -> None:
    words = ["a"] * 1500 + ["b"] * 2 + ["c"] * 1
    frame = pd.DataFrame({"w": words * 2, "y": [0, 1] * len(words)})
    schema, _ = table(frame=frame, target="y").prepare(np.arange(2 * len(words)))
    assert schema.input.names == ("w=a", "w=b", "w=other", "w=unknown")


def test_columns_without_use_are_left_out_and_said() -> None:
    frame = pd.DataFrame(
        {
            "Unnamed: 0": range(ROWS),
            "name": [f"person {n}" for n in range(ROWS)],
            "same": 7.0,
            "word": "x",
            "hole": np.nan,
            "use": X,
            "y": [0, 1] * 20,
        }
    )
    made = table(frame=frame, target="y")
    schema, _ = made.prepare(np.arange(ROWS))
    assert schema.input.names == ("use",)
    assert [line for line in made.said if "left out" in line] == [
        "column 'Unnamed: 0' left out: it counts the rows",
        "column 'name' left out: a different word in every row",
        "column 'same' left out: it is always 7 in the training rows",
        "column 'word' left out: it is always 'x' in the training rows",
        "column 'hole' left out: no value in the training rows",
    ]
    assert not any("missing" in line for line in made.said)


def test_preparing_again_says_each_thing_once() -> None:
    made = source([0, 1] * 20, same=1)
    made.prepare(np.arange(30))
    first = list(made.said)
    made.prepare(np.arange(30))
    assert made.said == first


def test_infinite_values_count_as_missing() -> None:
    made = source([0, 1] * 20, z=[np.inf, -np.inf, 1.0, 2.0] * 10)
    schema, columns = made.prepare(np.arange(ROWS))
    assert torch.isfinite(columns["input"]).all()
    assert "z missing" in schema.input.names


def test_equal_content_has_equal_fingerprints(tmp_path: Path) -> None:
    frame = mixed()
    assert table(frame=frame, target="y").fingerprint == table(frame=frame.copy(), target="y").fingerprint
    other = frame.copy()
    other.loc[3, "whole"] += 1
    assert table(frame=frame, target="y").fingerprint != table(frame=other, target="y").fingerprint
    for name in ("a.csv", "b.csv"):
        frame.to_csv(tmp_path / name)
    made = [table(path=str(tmp_path / name), target="y").fingerprint for name in ("a.csv", "b.csv")]
    assert made[0] == made[1]


GOOD = "a,b,y\n" + "".join(f"{n},{n % 3},{'uv'[n % 2]}\n" for n in range(12))
BAD_FILES: list[tuple[Any, dict[str, Any], str]] = [
    (None, {"target": "y"}, "does not exist"),
    (b"", {"target": "y"}, "is empty"),
    (b"a,b,y\n", {"target": "y"}, "column names but no rows"),
    (GOOD, {}, "no target given; expected one of its columns: a, b, y; name it with --target"),
    (GOOD, {"target": "Y2"}, "has no column 'Y2'.*did you mean 'y'"),
    (GOOD, {"target": "y", "drop": ("c",)}, "drop: no column 'c'"),
    (GOOD.replace("u", "v"), {"target": "y"}, r"target 'y' is constant \(v\)"),
    (GOOD.replace("11,2,v", "11,2,w"), {"target": "y"}, "class 'w' has a single example"),
    (
        "a,y\n" + "".join(f"{n},row {n}\n" for n in range(30)),
        {"target": "y"},
        "30 of 30 classes, such as 'row 0', have a single example.*choose another target",
    ),
    ("a,y\n1,u\n2,\n3,v\n4,?\n", {"target": "y"}, "target 'y' is missing in 2 of 4 rows.*choose another target"),
    (GOOD, {"target": "y", "task": "regression"}, r"holds words \('u'\); expected numbers"),
    ("y\n" + "u\nv\n" * 6, {"target": "y"}, "no column beside the target"),
    (GOOD + "1,2,u,extra\n", {"target": "y"}, "does not parse: .*line 14"),
    ("a,y\n" + "1,2,u\n" * 9, {"target": "y"}, "line 2 has more values than the 2 names"),
    (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), {"target": "y"}, "is not UTF-8 text"),
    (
        "a,y\n" + "".join(f"{n},{n}\n" for n in range(30)) + "30,n.n.\n",
        {"target": "y"},
        r"holds 'n\.n\.' among numbers",
    ),
]


@pytest.mark.parametrize(("content", "arguments", "message"), BAD_FILES)
def test_bad_files_are_refused_in_one_line(
    tmp_path: Path, content: Any, arguments: dict[str, Any], message: str
) -> None:
    path = tmp_path / "rows.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as caught:
        table(path=str(path), **arguments)
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(GOOD)

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)  # the superuser may read anything, so permissions alone prove nothing
    with pytest.raises(UserError, match=r"cannot read .*Permission denied.*check the path and permissions"):
        table(path=str(path), target="y")


def test_a_folder_and_a_broken_parquet_file(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=r"cannot read .*directory"):
        table(path=str(tmp_path / "folder.csv"), target="y")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match="does not parse"):
        table(path=str(tmp_path / "broken.parquet"), target="y")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": [[1], [2]] * 4, "y": [0, 1] * 4}), "column 'a' holds values of type list"),
        (pd.DataFrame({"a": [1j, 2j] * 4, "y": [0, 1] * 4}), "complex numbers"),
        (pd.DataFrame([[1, 2, 0], [3, 4, 1]] * 4, columns=["a", "y", "y"]), "several columns 'y'"),
        (pd.DataFrame({"a": [], "y": []}), "no rows"),
        ([[1, 2]], "expected a pandas DataFrame"),
        (pd.DataFrame({"a": [1, 1] * 4, "y": [0, 1] * 4}), "no column varies"),
    ],
)
def test_bad_frames_are_refused(frame: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        table(frame=frame, target="y").prepare(np.arange(len(frame)))


def test_rows_that_do_not_fit_are_refused_with_the_difference() -> None:
    made = table(frame=mixed(), target="y")
    made.prepare(np.arange(60))
    row = mixed().iloc[0].drop("y").to_dict()
    with pytest.raises(UserError, match=r"columns missing: whole; not known: hole; .*did you mean 'hole'"):
        made.transform({**{key: value for key, value in row.items() if key != "whole"}, "hole": 1})
    with pytest.raises(UserError, match="column 'whole' holds 'many'; expected numbers"):
        made.transform({**row, "whole": "many"})
    with pytest.raises(UserError, match="expected 5 values each: number, whole, word, flag, day"):
        made.transform([[1, 2]])
    torch.testing.assert_close(made.transform({**row, "beyond": 1}), made.transform(row))


def test_both_or_neither_of_path_and_frame() -> None:
    for arguments in ({}, {"path": "a.csv", "frame": mixed()}):
        with pytest.raises(UserError, match=r"path nor frame|path and frame"):
            table(**arguments)


def test_housing_and_census(shared_data: Path) -> None:
    housing = open_stream({"name": str(shared_data / "tables/housing.csv"), "target": "median_house_value"})
    assert housing.schema.task == "regression"
    assert sum(housing.size(split) for split in ("train", "valid", "test")) == 20_640
    assert any(line.startswith("207 missing values in 1 of 9 columns") for line in housing.said)
    census = open_stream({"name": str(shared_data / "tables/adult-train.csv"), "target": "income"})
    assert census.schema.target.names == ("<=50K", ">50K")
    assert sum(census.schema.target.counts) == census.size("train")
    assert any(line.startswith("column 'native_country': ") and line.endswith("'other'") for line in census.said)
    values = census.sample("train", census.size("train"))["input"].double()
    torch.testing.assert_close(values.mean(0), torch.tensor(census.schema.input.mean, dtype=torch.float64))


@pytest.mark.parametrize("target", ["word", "number", "word,flag", "number,other"])
def test_rows_without_a_target_are_left_out_and_counted(target: str) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": np.arange(60.0) ** 2, "number": rng.standard_normal(60), "flag": [0, 1] * 30})
    frame["word"], frame["other"] = np.where(frame["flag"] == 1, "yes", "no"), frame["number"] * 2
    frame["part"] = ["train"] * 40 + ["valid"] * 10 + ["test"] * 10
    holes = [3, 17, 44, 59]
    frame[["word", "number"]] = frame[["word", "number"]].astype(object)
    frame.loc[holes, ["word", "number"]] = None
    named = {"name": "table", "target": target, "drop": ["other"] if "other" not in target else []}
    stream = open_stream({**named, "frame": frame, "split_column": "part"})
    without = open_stream({**named, "frame": frame.drop(index=holes).convert_dtypes(), "split_column": "part"})
    assert stream.said[0].startswith("4 of 60 rows left out: they have no target")
    assert {name: stream.size(name) for name in ("train", "valid", "test")} == {"train": 38, "valid": 9, "test": 9}
    for split in ("train", "valid", "test"):
        mine, theirs = (one.examples(split) for one in (stream, without))
        assert torch.equal(mine["input"], theirs["input"])
        assert torch.equal(mine["target"], theirs["target"])


def test_lists_in_a_column_are_refused_unless_they_are_the_target_or_left_out() -> None:
    frame = pd.DataFrame(
        {"x": X, "tags": [["a", "b"][: 1 + n % 2] for n in range(ROWS)], "y": ["u", "v"] * (ROWS // 2)}
    )
    assert open_stream({"name": "table", "frame": frame, "target": "tags", "drop": ["y"]}).schema.target.names == (
        "a",
        "b",
    )
    assert open_stream({"name": "table", "frame": frame, "target": "y", "drop": ["tags"]}).size("train") > 0
    with pytest.raises(UserError, match=r"column .tags. holds values of type list.*leave it out"):
        open_stream({"name": "table", "frame": frame, "target": "y"})


def test_a_frame_without_a_target_is_told_what_to_name() -> None:
    with pytest.raises(UserError, match="no target given"):
        star.fit(pd.DataFrame({"x": X, "y": X}))
