"""`theta predict` on tables: any format, any order and number of columns, part by part as in one piece."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thetastar import star
from thetastar.cli import main
from thetastar.data.prepare.columns import encode, plain, sources
from thetastar.data.prepare.matching import pairs
from thetastar.data.prepare.streaming import open_stream, open_table
from thetastar.data.prepare.text_chunks import Json

Predict = Callable[..., tuple[int, str, str]]


def visits(rows: int = 240) -> pd.DataFrame:
    """A column of every kind, each with stretches that look like another kind."""
    random = np.random.default_rng(0)
    number = np.arange(rows)
    frame = pd.DataFrame({"id": [f"{value:05d}" for value in number]})
    frame["age"] = np.where(number % 7 == 3, np.nan, random.integers(18, 90, rows))
    frame["code"] = np.where(number % 20 < 15, [f"0{value % 4}" for value in number], "x1")
    frame["paid"] = np.where(number % 30 < 10, "950", [f"{value:,}" for value in random.integers(1000, 9999, rows)])
    frame["when"] = pd.date_range("2020-01-01", periods=rows, freq="37h").strftime("%d.%m.%Y")
    frame["member"] = number % 3 == 0
    words = ["good", "bad", "slow", "late", "kind", "rude", "fast", "clean"]
    frame["note"] = [" ".join(random.choice(words, 6)) for _ in number]
    frame["x"] = random.normal(size=rows).round(4)
    frame["answer"] = np.where(frame["x"] + frame["member"] + random.normal(scale=0.5, size=rows) > 0.3, "yes", "no")
    return frame


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained star and rows to predict in every format."""
    where = tmp_path_factory.mktemp("visits")
    frame = visits()
    frame.to_csv(where / "visits.csv", index=False)
    options = ["data.drop=[id]", "--model", "softmax", "--steps", "40", "--out", str(where / "run")]
    assert main(["fit", str(where / "visits.csv"), "--target", "answer", *options]) == 0
    new = frame.drop(columns="answer").iloc[::-1].reset_index(drop=True)
    new.to_csv(where / "new.csv", index=False)
    new.to_csv(where / "new.tsv", index=False, sep="\t")
    new.to_csv(where / "new.csv.gz", index=False)
    new.to_csv(where / "mark.csv", index=False, encoding="utf-8-sig")
    new.to_csv(where / "wide.csv", index=False, encoding="utf-16")
    new.to_json(where / "new.jsonl", orient="records", lines=True)
    new.to_json(where / "new.json", orient="records", indent=1)
    new.to_parquet(where / "new.parquet", row_group_size=50)
    table = pyarrow.Table.from_pandas(new)
    with pyarrow.OSFile(str(where / "new.arrow"), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=37)
    with pyarrow.OSFile(str(where / "live.arrow"), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=41)
    return where


FILES = ("new.csv", "new.tsv", "new.csv.gz", "mark.csv", "wide.csv", "new.jsonl", "new.json")
FILES = (*FILES, "new.parquet", "new.arrow", "live.arrow")


@pytest.fixture
def predict(place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Predict:
    """Runs `theta predict run …` in the folder."""
    monkeypatch.chdir(place)

    def run(*words: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        code = main(["predict", "run", *words])
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def refused(said: tuple[int, str, str], *parts: str) -> None:
    code, out, err = said
    assert (code, out) == (2, ""), said
    assert err.startswith("theta: "), err
    assert err.count("\n") == 1, err
    for part in parts:
        assert part in err, err


# --- the same in parts as in one piece ---------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from((*FILES, "-csv", "-jsonl")), rows=st.integers(20, 300))
def test_parts_of_any_length_are_encoded_as_the_whole_to_the_bit(place: Path, file: str, rows: int) -> None:
    """Against the frame that was written, encoded at once: a part of whole numbers alone changes nothing."""
    columns: Any = star.load(place / "run").source.columns  # type: ignore[union-attr]
    expected = encode(visits().iloc[::-1].reset_index(drop=True), columns)
    if file.startswith("-"):
        content = (place / f"new.{file[1:]}").read_bytes()
        table = open_stream(io.BufferedReader(io.BytesIO(content[200:])), content[:200], "input")  # type: ignore[arg-type]
    else:
        table = open_table(place / file)
    used = {name: name in plain(columns) for name in sources(columns)}
    frames = [frame for frame, _ in table.parts(rows, used)]
    assert [len(frame) for frame in frames[:-1]] == [rows] * (len(frames) - 1)
    assert [row for frame in frames for row in frame.index] == list(range(240))
    np.testing.assert_array_equal(np.concatenate([encode(frame, columns) for frame in frames]), expected)


def test_every_format_gives_the_answers_of_the_star(predict: Predict, place: Path) -> None:
    loaded = star.load(place / "run")
    new = visits().drop(columns="answer").iloc[::-1].reset_index(drop=True)
    expected = loaded.predict_proba(new).astype(str)
    first = predict("new.csv", "--probabilities")[1]
    lines = [line.split(",") for line in first.splitlines()]
    assert lines[0] == ["prediction", "p(no)", "p(yes)"]
    assert [line[0] for line in lines[1:]] == list(loaded.predict(new))
    assert [line[1:] for line in lines[1:]] == expected.tolist()
    for file in FILES:
        assert predict(file, "--probabilities")[1] == first, file
    for file in ("new.csv", "new.jsonl", "new.json", "wide.csv"):
        content = (place / file).read_bytes()
        assert predict("-", "--probabilities", stdin=content)[1] == first, file
    np.testing.assert_array_equal(loaded.predict_proba(place / "new.csv").astype(str), expected)


def test_parts_of_a_file_are_answered_as_all_of_it(
    predict: Predict, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predict("new.csv", "--probabilities", "--keep", "id")[1]
    monkeypatch.setattr(star, "LARGEST", 17 * 20)
    assert star.load(place / "run").rows_at_once < 20
    parts = predict("new.csv", "--probabilities", "--keep", "id")[1]
    one, other = (pd.read_csv(io.StringIO(text), dtype={"id": str}) for text in (whole, parts))
    pd.testing.assert_frame_equal(one, other, rtol=1e-5)
    assert list(one["id"]) == [f"{value:05d}" for value in range(240)][::-1]


def test_the_test_rows_score_what_the_run_scored(predict: Predict, place: Path) -> None:
    loaded = star.load(place / "run")
    rows = loaded.stream.rows["test"]  # type: ignore[attr-defined]
    frame = visits().iloc[rows]
    frame.sample(frac=1, axis=1, random_state=0).to_csv("held.csv", index=False)
    code, out, err = predict("held.csv")
    assert code == 0
    assert "the target answer is in the file: it is not read" in err
    right = (pd.read_csv(io.StringIO(out))["prediction"].to_numpy() == frame["answer"].to_numpy()).sum()
    assert right / len(rows) == pytest.approx(loaded.test()["accuracy"], abs=1e-7)


# --- outputs ---------------------------------------------------------------------------------------------------


def test_files_hold_what_the_stream_shows(predict: Predict, place: Path) -> None:
    shown = pd.read_csv(io.StringIO(predict("new.csv", "--proba", "--keep", "id,age")[1]), dtype={"id": str})
    lines = [json.loads(line) for line in predict("new.csv", "--proba", "--keep", "id,age", "--json")[1].splitlines()]
    assert lines[3]["age"] is None or float(lines[3]["age"]) == shown["age"][3]
    assert [line["p(yes)"] for line in lines] == shown["p(yes)"].tolist()
    readers: dict[str, Callable[..., Any]] = {
        "a.csv": lambda path: pd.read_csv(path, dtype={"id": str}),
        "a.tsv": lambda path: pd.read_csv(path, dtype={"id": str}, sep="\t"),
        "a.jsonl": lambda path: pd.read_json(path, lines=True, dtype={"id": str}),
        "a.parquet": pd.read_parquet,
    }
    for name, read in readers.items():
        code, out, err = predict("new.csv", "--proba", "--keep", "id,age", "--out", name)
        assert (code, out) == (0, "")
        assert f"240 rows answered in {name}" in err
        found = read(name)
        assert list(found["id"]) == list(shown["id"])
        np.testing.assert_allclose(found["p(yes)"].astype(float), shown["p(yes)"], rtol=1e-6)
        assert list(found["prediction"]) == list(shown["prediction"])


def test_all_columns_can_be_kept_from_every_format(predict: Predict) -> None:
    for file in FILES:
        code, out, _ = predict(file, "--keep", "*")
        assert code == 0
        kept = pd.read_csv(io.StringIO(out), dtype=str)
        assert list(kept.columns) == [*visits().columns[:-1], "prediction"]
        assert list(kept["code"]) == list(visits()["code"])[::-1], file
        assert predict(file, "--keep", "age,note", "--out", "kept.parquet")[0] == 0
        assert pd.read_parquet("kept.parquet")["age"].isna().sum() == visits()["age"].isna().sum(), file


def test_a_mistake_half_way_leaves_the_file_that_was_there(predict: Predict, place: Path) -> None:
    rows = pd.read_csv("new.csv", dtype=str)
    rows.loc[200, "x"] = "oops"
    rows.to_csv("bad.csv", index=False)
    Path("kept.csv").write_text("before")
    refused(predict("bad.csv", "--out", "kept.csv"), "bad.csv, row 201: column 'x' holds 'oops'")
    assert Path("kept.csv").read_text() == "before"
    assert not list(place.glob("*.part"))
    for name, message in (("a.xls", ".parquet"), ("none/a.csv", "no folder none")):
        refused(predict("new.csv", "--out", name), message)
    refused(predict("new.csv", "--json", "--out", "a.csv"), ".jsonl")


def test_a_reader_that_stops_early_hears_nothing_more(place: Path) -> None:
    command = f"{sys.executable} -m thetastar.cli predict run many.csv | head -n 2"
    pd.concat([visits()] * 40).to_csv(place / "many.csv", index=False)
    done = subprocess.run(command, shell=True, cwd=place, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == "prediction"
    assert len(done.stdout.splitlines()) == 2
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


# --- columns that do not match, and files that cannot be read -----------------------------------------------------


def test_the_difference_of_columns_names_near_ones(predict: Predict) -> None:
    names = {"x": "X_", "member": "Members", "note": "remark"}
    pd.read_csv("new.csv").rename(columns=names).to_csv("other.csv", index=False)
    parts = ["columns missing: member, note, x", "not known: id, Members, remark, X_", "'Members' for 'member'"]
    refused(predict("other.csv"), *parts, "'X_' for 'x'")
    code, out, err = predict("new.csv")
    assert code == 0
    assert len(out.splitlines()) == 241
    assert "a column not trained on is left out: id" in err


def test_what_training_never_saw_is_counted_over_all_parts(predict: Predict, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pd.read_csv("new.csv", dtype=str)
    rows.loc[[3, 100, 200], "code"] = ["07", "new", "07"]
    rows.loc[[5, 150], "x"] = np.nan
    rows.loc[7, ["age", "code"]] = np.nan  # training had gaps in age; a word may always be missing
    rows.to_csv("odd.csv", index=False)
    monkeypatch.setattr(star, "LARGEST", 17 * 20)
    code, _, err = predict("odd.csv")
    assert code == 0
    assert "column 'code': 3 values never seen in training ('07', 'new'), read as unknown" in err
    assert "column 'x': 2 values missing, as none was in training" in err
    assert "'age'" not in err
    assert "never seen" not in predict("new.csv")[2]


def test_near_names_are_paired_once() -> None:
    assert pairs(["sepal_length", "sepal_width"], ["Sepal Length", "sepal-width", "q"]) == {
        "sepal_length": "Sepal Length",
        "sepal_width": "sepal-width",
    }
    assert pairs(["x"], ["completely"]) == {}


HEADER = "id,age,code,paid,when,member,note,x\n"
ROW = '1,30,x1,"1,000",01.02.2020,True,good and fast,0.5\n'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty.csv is empty"),
        ("garbage.csv", bytes(range(256)) * 8, "garbage.csv"),
        ("zeros.csv", b"\0" * 64, "zeros.csv"),
        ("late.csv", (HEADER + ROW + ROW.replace("True", "True,more")).encode(), "late.csv does not parse: Expected 8"),
        ("long.csv", (HEADER + ROW.replace("True", "True,more")).encode(), "more values than"),
        ("date.csv", (HEADER + ROW + ROW.replace("01.02.2020", "soon")).encode(), "row 2: column 'when' holds 'soon'"),
        ("word.csv", (HEADER + ROW.replace("0.5", "half")).encode(), "row 1: column 'x' holds 'half'"),
        ("bad.jsonl", b'{"x": 1}\n{"x": \n', "line 2"),
        ("list.jsonl", b"[1, 2]", "'1' is no object"),
        ("cut.json", b'[{"x": 1}, {"x": ', "breaks off"),
        ("bad.parquet", b"PAR1 not", "bad.parquet"),
        ("bad.arrow", b"ARROW1 not", "bad.arrow"),
        ("photo.png", b"\x89PNG\r\n\x1a\n", "photo.png for a star that was trained on rows of a table"),
    ],
)
def test_files_that_cannot_be_read_are_refused_in_one_line(
    predict: Predict, name: str, content: bytes, message: str
) -> None:
    Path(name).write_bytes(content)
    refused(predict(name), message)


def test_the_input_stream_is_refused_like_a_file(predict: Predict) -> None:
    refused(predict("-", stdin=b""), "the input stream is empty")
    refused(predict("-", stdin=b"PAR1...."), "save it as a file")
    refused(predict("-", stdin=b"\x89PNG\r\n"), "trained on rows of a table")
    refused(predict("-", stdin=(HEADER + ROW + ROW.replace("0.5", "half")).encode()), "input stream, row 2: column 'x'")


def test_words_that_make_no_sense_are_refused(predict: Predict, tmp_path: Path) -> None:
    refused(predict("nothing.csv"), "no file nothing.csv")
    refused(predict("new.csv", "--keep", "idd"), "did you mean 'id'?")
    refused(predict("new.csv", "--positive", "yes"), "--positive alone")
    (tmp_path / "text.txt").write_text("x")
    refused(predict(str(tmp_path)), "trained on rows of a table")
    assert main(["predict", "norun", "new.csv"]) == 2


@pytest.mark.parametrize("name", ["none.csv", "none.jsonl", "none.parquet"])
def test_no_rows_are_answered_with_names_alone(predict: Predict, name: str) -> None:
    none = pd.read_csv("new.csv").iloc[:0]
    if name.endswith("csv"):
        none.to_csv(name, index=False)
    elif name.endswith("jsonl"):
        Path(name).write_text("[]")
    else:
        none.to_parquet(name)
    code, out, err = predict(name, "--proba")
    if name == "none.jsonl":  # no row, so no names either
        assert code == 2
        return
    assert (code, out) == (0, "prediction,p(no),p(yes)\n")
    assert "0 rows answered" in err


def test_one_row_and_ten_thousand_columns(predict: Predict) -> None:
    one = pd.read_csv("new.csv", dtype=str).iloc[:1]
    expected = predict("new.csv", "--proba")[1].splitlines()[:2]
    more = pd.DataFrame(0, index=one.index, columns=[f"extra{number}" for number in range(10_000)])
    pd.concat([more, one], axis=1).to_csv("extra.csv", index=False)
    code, out, err = predict("extra.csv", "--proba")
    assert code == 0
    assert out.splitlines() == expected
    assert "10,001 columns not trained on are left out: extra0" in err
    assert len(err) < 500


def test_an_array_of_json_is_read_element_by_element() -> None:
    """Any way of writing it, and cut anywhere by the reader: what `json.loads` finds in the whole."""
    rows = [{"a": 'x, ]} \\ "', "b": [1, {"c": None}], "d": number / 7} for number in range(50)]
    for text in (json.dumps(rows), json.dumps(rows, indent=3), " [ ] ", "\n".join(map(json.dumps, rows))):
        found = Json(io.StringIO(text), "text", [], None).head
        assert found == ([json.loads(line) for line in text.splitlines()] if text[:1] == "{" else json.loads(text))


# --- memory ----------------------------------------------------------------------------------------------------

LIMITED = textwrap.dedent("""
    import resource, sys
    from pathlib import Path
    from thetastar import star
    from thetastar.cli import main
    from thetastar.errors import UserError
    assert main(["predict", "run", "few.csv", "--out", "few.out.csv"]) == 0
    loaded = star.load("run")
    loaded.predict("few.csv")
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    limit = int(status["VmData"].split()[0]) * 1024 + int(sys.argv[1])  # what is written, not what is set aside
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    assert main(["predict", "run", "large.csv", "--out", "large.out.csv"]) == 0
    try:
        loaded.predict("large.csv")
    except UserError as error:
        print(error)
""")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_a_file_larger_than_memory_is_answered_whole(place: Path) -> None:
    """Under a limit that leaves 100 MB, on 240 MB of text; the same rows read at once do not fit."""
    pytest.importorskip("resource")
    head, *lines = (place / "new.csv").read_text().splitlines()
    long = "x" * 20_000
    (place / "few.csv").write_text("\n".join([f"{head},long", *(f"{line},{long}" for line in lines[:10])]) + "\n")
    with (place / "large.csv").open("w") as file:
        file.write(f"{head},long\n")
        for _ in range(50):
            file.write("".join(f"{line},{long}\n" for line in lines))
    assert (place / "large.csv").stat().st_size > 240e6
    command = [sys.executable, "-c", LIMITED, str(100 * 10**6)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    (place / "large.csv").unlink()
    assert done.returncode == 0, done.stderr
    assert "large.csv does not fit into memory" in done.stdout
    answers = (place / "large.out.csv").read_text().splitlines()
    assert len(answers) == 1 + 50 * 240
    assert answers[1:241] == answers[-240:] == answers[241:481]
