"""What is planted is pointed out, clean data raise no alarm, and test labels are never seen."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from thetastar import cli
from thetastar.defaults import open_stream
from thetastar.look.balance import balance
from thetastar.look.correlations import correlations, cramer
from thetastar.look.drift import delong, drift
from thetastar.look.duplicates import duplicates
from thetastar.look.label_noise import label_noise
from thetastar.look.leakage import leakage
from thetastar.look.looking import look
from thetastar.look.profiling import profile
from thetastar.look.subject import subject_of
from thetastar.report.looking import render


def clean(seed: int = 0, rows: int = 400, number: bool = False) -> pd.DataFrame:
    """Three numbers and a word, of which two numbers say something of y."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, 3))
    score = x[:, 0] - x[:, 1] + 0.5 * random.standard_normal(rows)
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    frame["word"] = random.choice(["red", "green", "blue"], rows)
    frame["y"] = score if number else np.where(score > 0, "yes", "no")
    return frame


def of(frame: pd.DataFrame, target: str | None = "y", **more):
    return subject_of({"name": "table", "frame": frame, "target": target, **more})


def named(section, words: str):
    return [finding for finding in section.findings if words in finding.what]


@pytest.mark.parametrize("seed", range(3))
def test_clean_data_raise_no_finding_of_high_severity(seed):
    for number in (False, True):
        subject = of(clean(seed, number=number))
        sections = [examine(subject) for examine in (profile, balance, correlations, duplicates, drift, leakage)]
        found = [finding for section in sections if section for finding in section.findings]
        assert not [finding for finding in found if finding.severity != "low"]


@pytest.mark.parametrize("name", ["iris", "wine"])
def test_real_clean_data_raise_no_finding_of_high_severity(name):
    assert not [finding for finding in look(name).findings if finding.severity == "high"]


def test_a_copy_of_the_target_is_pointed_out_for_classes_and_numbers():
    frame = clean()
    frame["outcome"] = np.where(frame["y"] == "yes", 7, 3)
    found = named(leakage(of(frame)), "copies the target")
    assert [finding.columns for finding in found] == [("outcome",)]
    assert found[0].severity == "high"
    frame = clean(number=True)
    frame["log"] = np.log(5 + frame["y"].clip(-4.9))
    found = named(leakage(of(frame)), "copies the target")
    assert [finding.columns for finding in found] == [("log",)]


def test_a_column_that_knows_too_much_is_pointed_out_without_being_a_copy():
    frame = clean()
    random = np.random.default_rng(1)
    frame["after"] = np.where(frame["y"] == "yes", 2.0, -2.0) + 0.1 * random.standard_normal(len(frame))
    found = named(leakage(of(frame)), "almost alone")
    assert [finding.columns for finding in found] == [("after",)]


@pytest.mark.parametrize("kind", ["counter", "shuffled", "word"])
def test_an_id_column_is_pointed_out_and_weighs_more_where_it_predicts(kind):
    frame = clean()
    order = np.arange(1000, 1000 + len(frame))
    random = np.random.default_rng(2)
    frame["key"] = {
        "counter": order,
        "shuffled": random.permutation(order),
        "word": [f"p{n:05d}" for n in random.permutation(order)],
    }[kind]
    found = named(leakage(of(frame)), "identifier")
    assert [(finding.columns, finding.severity) for finding in found] == [(("key",), "medium")]
    if kind == "counter":
        ranked = frame.sort_values("y", ignore_index=True).assign(key=order)
        assert [finding.severity for finding in named(leakage(of(ranked)), "identifier")] == ["high"]


def test_exact_copies_across_splits_are_pointed_out_row_by_row_also_beside_an_id():
    frame = clean()
    frame["key"] = np.arange(len(frame))
    splits = of(frame).splits
    held, source = splits["test"][:12], splits["train"][:12]
    inputs = ["a", "b", "c", "word"]
    frame.loc[held, inputs] = frame.loc[source, inputs].to_numpy()
    found = named(duplicates(of(frame.drop(columns="y"), None)), "exact copies")
    subject = of(frame, None)
    train = frame.loc[subject.splits["train"], inputs].apply(tuple, axis=1)
    for name in ("valid", "test"):
        rows = subject.splits[name]
        expected = rows[frame.loc[rows, inputs].apply(tuple, axis=1).isin(set(train)).to_numpy()]
        reported = [finding.rows for finding in found if finding.what.startswith(name)]
        assert reported == ([tuple(expected)] if len(expected) else [])
        assert all(finding.severity == "high" for finding in found)
    assert found


def test_copies_that_few_values_make_likely_are_no_alarm():
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: random.integers(0, 3, 300) for name in "abc"}).assign(y=random.integers(0, 2, 300))
    found = named(duplicates(of(frame)), "exact copies")
    assert found
    assert {finding.severity for finding in found} == {"low"}


def test_rows_that_differ_in_the_fourth_digit_are_near():
    frame = clean()
    splits = of(frame).splits
    held, source = splits["test"][:8], splits["train"][:8]
    frame.loc[held] = frame.loc[source].to_numpy()
    frame = frame.astype({"a": float, "b": float, "c": float})
    frame.loc[source, ["a", "b", "c"]] = frame.loc[source, ["a", "b", "c"]].map(lambda v: float(f"{v:.2e}"))
    frame.loc[held, "a"] = frame.loc[source, "a"].to_numpy() * 1.0001
    subject = of(frame, None)
    assert not named(duplicates(subject), "exact")
    subject.splits = splits
    (found,) = named(duplicates(subject), "near")
    assert set(found.rows) == set(held)


def scenes(count: int, seed: int = 0) -> np.ndarray:
    """(count, 3, 32, 32) smooth random pictures."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    large = [np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC)) for one in small]
    return np.stack(large).transpose(0, 3, 1, 2)


def test_images_that_were_encoded_again_resized_and_dimmed_are_near_and_others_are_not():
    images = scenes(120).copy()
    for copy, original in ((100, 3), (101, 4), (102, 5)):
        picture = Image.fromarray(images[original].transpose(1, 2, 0)).resize((24, 24)).resize((32, 32))
        stream = io.BytesIO()
        picture.point(lambda v: int(0.85 * v)).save(stream, "JPEG", quality=50)
        images[copy] = np.asarray(Image.open(stream)).transpose(2, 0, 1)
    images[103] = images[6]
    given = {"train": np.arange(80), "valid": np.arange(80, 100), "test": np.arange(100, 120)}
    source = {"name": "arrays", "inputs": images, "targets": np.arange(120) % 2, "given": given}
    section = duplicates(subject_of(source))
    assert section.values["near_pairs"] == [[3, 100], [4, 101], [5, 102]]
    assert [f.rows for f in named(section, "test images that nearly")] == [(100, 101, 102)]
    assert [(f.rows, f.severity) for f in named(section, "test rows that are exact")] == [((103,), "high")]
    assert section.picture.startswith("data:image/png;base64,")


@pytest.mark.parametrize("seed", range(2))
def test_flipped_labels_are_the_top_suspects(seed):
    random = np.random.default_rng(seed)
    y = np.arange(400) % 3
    x = random.standard_normal((400, 4)) + 4 * np.eye(3, 4)[y]
    subject = subject_of((x, y))
    flips = random.choice(subject.labelled, 20, replace=False)
    subject.labels[flips] = (subject.labels[flips] + 1) % 3
    (found,) = label_noise(subject).findings
    assert len(set(found.rows[:20]) & set(flips)) >= 17  # recall among as many suspects as there are flips
    assert not set(found.rows) & set(subject.splits["test"])


def test_a_model_that_only_guesses_disputes_nothing():
    frame = clean(rows=200).assign(y=np.random.default_rng(5).integers(0, 2, 200))
    section = label_noise(of(frame))
    assert not section.findings
    assert "too little" in section.said[0]


def test_a_target_with_a_slip_of_the_pen_is_a_suspect():
    frame = clean(number=True, rows=200)
    row = int(of(frame).labelled[5])
    frame.loc[row, "y"] += 40
    (found,) = label_noise(of(frame)).findings
    assert found.rows[0] == row


def test_drift_is_found_named_and_absent_where_there_is_none():
    frame = clean(rows=600)
    frame["part"] = np.where(np.arange(600) < 350, "train", np.where(np.arange(600) < 450, "valid", "test"))
    subject = of(frame.drop(columns="part"))
    subject.splits = {name: np.flatnonzero(frame["part"] == name) for name in ("train", "valid", "test")}
    section = drift(subject)
    assert not section.findings
    assert sum("no drift found" in line for line in section.said) == 2
    subject.frame.loc[subject.splits["test"], "c"] += 1.5
    (found,) = drift(subject).findings
    assert found.what == "test differs from train"
    assert found.columns == ("c",)
    assert found.severity == "high"


def test_delong_is_the_area_with_the_spread_of_repeated_draws():
    random = np.random.default_rng(0)
    draws = []
    for _ in range(300):
        positive, negative = random.standard_normal(60) + 1, random.standard_normal(40)
        draws.append(delong(positive, negative))
    area, variance = np.array(draws).T
    y = np.r_[np.ones(60), np.zeros(40)]
    assert area[-1] == pytest.approx(roc_auc_score(y, np.r_[positive, negative]))
    assert area[-1] == pytest.approx(mannwhitneyu(positive, negative).statistic / 2400)
    assert variance.mean() == pytest.approx(area.var(), rel=0.2)


def test_cramers_v_is_one_for_a_renaming_and_near_zero_for_independence():
    random = np.random.default_rng(0)
    x, y = random.integers(0, 4, 3000).astype(float), random.integers(0, 3, 3000).astype(float)
    assert cramer(x, 3 - x) == pytest.approx(1)
    assert cramer(x, y) < 0.05


def test_labels_of_the_test_split_change_nothing():
    frame = clean(number=True)  # a draw stratified by classes would itself depend on them
    frame["outcome"] = 2 * frame["y"]
    subject = of(frame)
    before = look({"name": "table", "frame": frame, "target": "y"})
    flat = frame.copy()
    train = np.concatenate([subject.splits["train"], subject.splits["valid"]])
    assert set(subject.labelled) == set(train)
    assert np.isnan(subject.labels[subject.splits["test"]]).all()
    swapped = subject.splits["test"]
    flat.loc[swapped, "y"] = np.random.default_rng(0).permutation(flat.loc[swapped, "y"].to_numpy())
    again = of(flat)
    assert leakage(again) == leakage(subject)
    assert profile(again) == profile(subject)
    assert "never by its labels" in before.said[-1]


def test_columns_are_profiled_with_or_without_a_target():
    frame = clean(rows=60)
    frame.loc[:44, "c"] = np.nan
    frame["always"] = 4
    frame["mixed"] = ["12", "n.n.", "7"] * 20
    section = profile(of(frame, None))
    lines = {row[0]: row for row in section.rows}
    assert lines["c"][2] == pytest.approx(0.75)
    assert lines["a"][4:7] == pytest.approx((frame["a"].min(), frame["a"].median(), frame["a"].max()))
    assert sum(lines["a"][7].counts) == 60
    assert lines["word"][3] == 3
    assert {c for finding in section.findings for c in finding.columns} == {"c", "always", "mixed"}


def test_a_table_that_training_refuses_is_still_looked_at():
    frame = clean(rows=80).assign(empty=np.nan, lists=[[1, 2]] * 80)
    frame.loc[3, "y"] = None
    found = of(frame)
    assert [(finding.severity, finding.columns) for finding in found.findings] == [("high", ()), ("medium", ("lists",))]
    assert len(leakage(found).rows) == 5
    assert 3 not in found.labelled


def test_written_numbers_and_dates_are_looked_at_as_what_they_mean():
    rng = np.random.default_rng(0)
    income, days = rng.integers(10_000, 90_000, 200), rng.integers(0, 9_000, 200)
    born = [(pd.Timestamp("1970-01-01") + pd.Timedelta(days=int(day))).strftime("%d.%m.%Y") for day in days]
    label = np.where(income > 50_000, "rich", "poor")
    found = of(pd.DataFrame({"income": [f"{one:,}" for one in income], "born": born, "y": label}))
    lines = {line[0]: line for line in profile(found).rows}
    assert lines["income"][1] == "number"
    assert lines["income"][4:7] == (income.min(), np.median(income), income.max())
    assert lines["born"][1] == "date"
    assert lines["born"][4] == str((pd.Timestamp("1970-01-01") + pd.Timedelta(days=int(days.min()))).date())
    assert dict(leakage(found).rows)["income"] > 0.9


def test_splits_are_those_of_training_where_some_rows_have_no_target():
    frame = clean(rows=80)
    frame.loc[[3, 30], "y"] = None
    found = of(frame)
    stream = open_stream({"name": "table", "frame": frame, "target": "y"})
    assert not found.findings
    assert found.count == 80
    kept = [row for row in range(80) if row not in (3, 30)]
    for name, rows in found.splits.items():
        assert list(rows) == [kept[row] for row in stream.rows[name]]


def test_the_page_is_self_contained_escaped_and_balanced():
    frame = clean(rows=60).rename(columns={"c": "<script>alert(1)</script>"})
    page = render(look({"name": "table", "frame": frame, "target": "y"}))
    assert "&lt;script&gt;alert(1)" in page
    assert not any(mark in page for mark in ("<script", "http", "@import", "<link"))
    open_tags: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

        def handle_startendtag(self, tag, attrs):
            pass

    Balance().feed(page)
    assert not open_tags


def test_the_command_prints_json_writes_the_page_and_refuses_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    frame = clean(rows=60)
    frame.to_csv("own.csv", index=False)
    assert cli.main(["look", "own.csv", "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry["task"] == "no target"
    assert (tmp_path / entry["report"]).is_file()
    assert cli.main(["look", "own.csv", "--out", "page.html"]) == 0
    assert "Columns" in capsys.readouterr().out
    (tmp_path / "zero.csv").write_text("a,b\n")
    for words in (["none.csv"], ["own.csv", "--target", "z"], ["zero.csv"], [], ["own.csv", "model=mlp"]):
        assert cli.main(["look", *words]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
