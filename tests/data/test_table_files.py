"""Files as people have them: formats, marks, several of them; splits by name, column, group and time."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from thetastar.data.prepare import columns
from thetastar.data.prepare.reading import read_table
from thetastar.data.table import table
from thetastar.defaults import data_spec, open_stream
from thetastar.errors import UserError

ROWS = 60
RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "x": RANDOM.normal(size=ROWS).round(6),
        "w": RANDOM.choice(["a", "b"], ROWS),
        "flag": np.arange(ROWS) % 2 == 0,
        "y": ["u", "v", "v"] * 20,
    }
)


def opened(path: Any, **arguments: Any) -> Any:
    return open_stream({**data_spec(path), "source": {**data_spec(path)["source"], "target": "y", **arguments}})


def test_every_format_holds_the_same_table(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.csv").read_bytes())
    FRAME.to_csv(tmp_path / "wide.tsv", index=False, sep="\t", encoding="utf-16")
    FRAME.to_feather(tmp_path / "b.feather")
    FRAME.to_parquet(tmp_path / "c.parquet")
    FRAME.to_json(tmp_path / "d.jsonl", orient="records", lines=True)
    FRAME.to_json(tmp_path / "e.json", orient="records")
    expected = table(frame=FRAME, target="y").prepare(np.arange(ROWS))[1]["input"]
    for path in sorted(tmp_path.iterdir()):
        source = open_stream({"name": str(path), "target": "y"}).source
        torch.testing.assert_close(source.prepare(np.arange(ROWS))[1]["input"], expected, msg=path.name)


def test_text_as_spreadsheets_and_servers_write_it(tmp_path: Path) -> None:
    """Windows-1252, packed, semicolons with decimal commas, bars; each reads as the plain file does."""
    plain = FRAME.assign(x=FRAME["x"].round(3), w=FRAME["w"].replace("a", "süß"))
    plain.to_csv(tmp_path / "windows.csv", index=False, encoding="cp1252")
    plain.to_csv(tmp_path / "packed.csv.gz", index=False)
    plain.to_json(tmp_path / "packed.jsonl.gz", orient="records", lines=True)
    plain.to_csv(tmp_path / "german.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    plain.to_csv(tmp_path / "points.csv", index=False, sep=";")
    plain.to_csv(tmp_path / "bars.csv", index=False, sep="|", lineterminator="\r\n")
    expected = table(frame=plain, target="y").prepare(np.arange(ROWS))[1]["input"]
    said = {}
    for path in sorted(tmp_path.iterdir()):
        source = open_stream({"name": str(path), "target": "y"}).source
        assert torch.equal(source.prepare(np.arange(ROWS))[1]["input"], expected), path.name
        said[path.name] = source.said
    assert "the file is not UTF-8: read as Windows-1252" in said["windows.csv"]
    assert {"columns are separated by ';'", "numbers have a decimal comma"} <= set(said["german.csv"])
    assert "numbers have a decimal comma" not in said["points.csv"]


def test_a_first_line_of_numbers_is_pointed_out(tmp_path: Path) -> None:
    FRAME[["x", "y"]].to_csv(tmp_path / "rows.csv", index=False, header=["0.5", "y"])
    assert any("though it holds numbers (0.5)" in line for line in opened(tmp_path / "rows.csv").said)
    FRAME[["x", "w", "y"]].to_csv(tmp_path / "rows.csv", index=False, header=["2019", "2020", "y"])
    assert not any("first line" in line for line in opened(tmp_path / "rows.csv").said)


@pytest.mark.parametrize("rows", [slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 4), slice(0, 60, 4)])
def test_a_file_of_some_rows_is_read_as_all_of_them(rows: slice, tmp_path: Path) -> None:
    """Codes with zeros in front, gaps among whole numbers, marks of thousands: a single row would look otherwise."""
    frame = FRAME.assign(
        code=["007", "7", "12", "A1"] * 15,
        grade=["1", "2", "", "x"] * 15,
        price=["1.234", "0,5", "12", "2.000,25"] * 15,
        share=["5%", "7 %", "12", "100%"] * 15,
        flag=["yes", "no", "True", "1"] * 15,
    )
    frame.to_csv(tmp_path / "all.csv", index=False)
    source = table(path=str(tmp_path / "all.csv"), target="y")
    schema, prepared = source.prepare(np.arange(ROWS))
    assert {"code=007", "code=7", "grade=1", "price", "share", "flag=1"} <= set(schema.input.names)
    frame.iloc[rows].to_csv(tmp_path / "some.csv", index=False)
    assert torch.equal(source.transform(tmp_path / "some.csv")["input"], prepared["input"][rows])


def test_names_that_are_alike_are_numbered_in_training_and_in_prediction(tmp_path: Path) -> None:
    text = "a,b,a,a ,y\n" + "".join(f"{n},{n % 3},{n * n},{-n % 7},{'uv'[n % 2]}\n" for n in range(12))
    (tmp_path / "rows.csv").write_text(text)
    source = table(path=str(tmp_path / "rows.csv"), target="y")
    schema, prepared = source.prepare(np.arange(12))
    assert schema.input.names == ("a", "b", "a.1", "a.2")
    assert "columns of the same name renamed: 'a' → 'a.1', 'a' → 'a.2'" in source.said
    assert torch.equal(source.transform(tmp_path / "rows.csv")["input"], prepared["input"])
    with pytest.raises(UserError, match="several columns 'b'"):
        table(frame=pd.DataFrame([[1, 2, 3]] * 5, columns=["a", "b", "b"]), target="b")


def test_a_folder_a_list_and_a_pattern_with_names_of_splits_give_the_splits(tmp_path: Path) -> None:
    parts = {"adult-train": FRAME[:40], "adult-valid": FRAME[40:50], "adult-test": FRAME[50:]}
    for name, part in parts.items():
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    listed = [str(tmp_path / f"{name}.csv") for name in parts]
    for path in (tmp_path, listed, str(tmp_path / "adult-*.csv")):
        stream = opened(path)
        assert [stream.size(split) for split in ("train", "valid", "test")] == [40, 10, 10]
        held = stream.source.frame["x"].to_numpy()[stream.rows["test"]]
        assert sorted(held) == sorted(FRAME["x"][50:])
        assert any(line.startswith("3 files are the splits that their names say") for line in stream.said)
    (tmp_path / "adult-valid.csv").unlink()
    without = opened(tmp_path)
    assert without.size("test") == 10
    assert without.size("valid") == round(0.15 * 40)


def test_files_of_other_splits_beside_one_are_pointed_out(tmp_path: Path) -> None:
    for name in ("adult-train", "adult-test", "other-test", "adult"):
        FRAME.to_csv(tmp_path / f"{name}.csv", index=False)
    hints = [opened(tmp_path / f"{name}.csv").said[0] for name in ("adult-train", "adult")]
    assert hints[0] == "left alone beside adult-train.csv: adult-test.csv (a pattern with * reads all, as the splits)"
    assert "left alone" not in hints[1]


def test_a_column_of_names_of_splits_is_pointed_out_where_it_is_not_used() -> None:
    part = ["train"] * 40 + ["val"] * 10 + ["test"] * 10
    hint = "column 'part' names splits, yet is an input: --split-column part splits by it"
    assert hint in table(frame=FRAME.assign(part=part), target="y").said
    for words, arguments in ((part, {"split_column": "part"}), (["train", "bus", "car"] * 20, {})):
        assert hint not in table(frame=FRAME.assign(part=words), target="y", **arguments).said


def test_files_without_names_of_splits_are_joined(tmp_path: Path) -> None:
    FRAME[:30].to_csv(tmp_path / "2019.csv", index=False)
    FRAME[30:][FRAME.columns[::-1]].to_csv(tmp_path / "2020.csv", index=False)  # the order of columns is free
    source = opened(str(tmp_path / "20*.csv")).source
    assert source.rows == ROWS
    assert source.given is None
    assert "2 files joined: 2019.csv, 2020.csv" in source.said
    np.testing.assert_allclose(source.frame["x"], FRAME["x"])


def test_files_that_do_not_fit_together_are_refused_with_the_difference(tmp_path: Path) -> None:
    FRAME[:40].to_csv(tmp_path / "train.csv", index=False)
    FRAME[40:].rename(columns={"x": "z"}).to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(UserError, match=r"train\.csv: columns missing: z; not known: x; expected the columns of test"):
        opened(tmp_path)
    FRAME[40:].to_csv(tmp_path / "test.csv", index=False)
    FRAME[40:].to_csv(tmp_path / "extra.csv", index=False)
    with pytest.raises(UserError, match=r"the name of extra\.csv says no split"):
        opened(tmp_path)
    with pytest.raises(UserError, match="no file matches"):
        opened(str(tmp_path / "none*.csv"))
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match="holds no table"):
        table(path=str(tmp_path / "bare"), target="y")


def test_a_column_names_the_split() -> None:
    words = ["train"] * 40 + ["Validation"] * 10 + ["test"] * 10
    source = table(frame=FRAME.assign(part=words), target="y", split_column="part")
    stream = open_stream({"name": "resident", "source": source})
    assert [stream.rows[split].tolist() for split in ("train", "valid", "test")] == [
        list(range(40)),
        list(range(40, 50)),
        list(range(50, 60)),
    ]
    assert "part" not in source.frame


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split_column": "part"}, r"split column 'part' holds 'tset'; .*did you mean 'test'"),
        ({"split_column": "w"}, "split column 'w' holds 'a'; expected train, valid or test"),
        ({"split_column": "hole"}, "split column 'hole' is blank in row 1"),
        ({"split_column": "only"}, "names no rows to train on"),
        ({"group": "grup"}, r"table\.group: no column 'grup'"),
        ({"group": "hole"}, "group column 'hole' has blanks"),
        ({"group": "y"}, r"table\.group: the target"),
        ({"time": "w"}, "time column 'w' holds '[ab]'; expected dates or numbers"),
        ({"time": "half"}, r"time column 'half' holds '(nan|NaT|None)' in row 2"),
        ({"group": "w", "time": "x"}, "both group and time"),
    ],
)
def test_bad_columns_of_splits_are_refused(arguments: dict[str, Any], message: str) -> None:
    frame = FRAME.assign(
        part=["train", "tset"] * 30,
        hole=[None, "train"] * 30,
        only="test",
        half=["2020-01-01", None] * 30,
    )
    with pytest.raises(UserError, match=message) as caught:
        table(frame=frame, target="y", **arguments)
    assert "\n" not in str(caught.value)


def test_groups_stay_whole_and_are_no_input() -> None:
    frame = FRAME.assign(patient=[f"p{n // 4}" for n in range(ROWS)])
    stream = open_stream({"name": "resident", "source": table(frame=frame, target="y", group="patient")})
    parts = [set(frame["patient"].iloc[stream.rows[split]]) for split in ("train", "valid", "test")]
    assert sum(map(len, parts)) == 15 == len(set.union(*parts))
    assert not any("patient" in name for name in stream.schema.input.names)
    assert stream.said[-1].endswith("(whole groups, split seed 0)")


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y"])
def test_the_latest_rows_are_tested_and_what_only_grows_is_no_input(form: str) -> None:
    when = pd.Timestamp("2021-03-01") + pd.to_timedelta(RANDOM.permutation(ROWS), "D")
    frame = FRAME.assign(date=when.strftime(form))
    stream = open_stream({"name": "resident", "source": table(frame=frame, target="y", time="date")})
    latest = {split: when[stream.rows[split]] for split in ("train", "valid", "test")}
    assert latest["train"].max() < latest["valid"].min() <= latest["valid"].max() < latest["test"].min()
    assert "date month" in stream.schema.input.names
    assert not {"date year", "date elapsed days"} & set(stream.schema.input.names)
    assert stream.said[-1].endswith("(in order of time)")
    number = open_stream({"name": "resident", "source": table(frame=FRAME, target="y", time="x")})
    assert "x" not in number.schema.input.names


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows_are_refused(tmp_path: Path, rows: int) -> None:
    FRAME[:rows].to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(UserError, match="no rows" if rows == 0 else f"has {rows} row"):
        table(path=str(tmp_path / "few.csv"), target="y")


def test_ten_thousand_columns_are_read_and_too_many_numbers_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = pd.DataFrame(RANDOM.integers(0, 3, (12, 10_000)), columns=[f"c{n}" for n in range(10_000)])
    source = table(frame=wide.assign(y=["u", "v"] * 6), target="y")
    schema, _ = source.prepare(np.arange(8))
    assert len(schema.input.names) == (wide[:8].nunique() > 1).sum()
    assert len(source.said) < 40
    monkeypatch.setattr(columns, "LARGEST", 100_000)
    with pytest.raises(UserError, match=r"12 rows of 9,\d\d\d numbers each need .* GiB; .*leave columns out"):
        source.prepare(np.arange(8))


def test_named_tables(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"housing": (13_416, 3_096, 4_128), "adult": (27_677, 4_884, 16_281), "sst2": (6_920, 872, 1_821)}
    for name, expected in sizes.items():
        stream = open_stream(name)
        assert tuple(stream.size(split) for split in ("train", "valid", "test")) == expected
    census = open_stream("adult").source
    held = pd.read_csv(shared_data / "tables/adult-test.csv", skipinitialspace=True)
    np.testing.assert_array_equal(census.frame["age"].iloc[census.given["test"]], held["age"])
    monkeypatch.delenv("THETASTAR_DATA")
    with pytest.raises(UserError, match=r"THETASTAR_DATA is not set; expected a folder that holds tables/housing\.csv"):
        open_stream("housing")


def test_a_packed_file_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress("".join(f"{number},{number % 7}\n" for number in range(9000)).encode())
    (tmp_path / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UserError, match=r"cut.csv.gz does not parse: .*end-of-stream.*; mend the file"):
        read_table(tmp_path / "cut.csv.gz", [])
