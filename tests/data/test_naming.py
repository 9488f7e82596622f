"""What a user calls data, and which source reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import thetastar as ts
from thetastar.defaults import data_spec, open_stream
from thetastar.errors import UserError

FRAME = pd.DataFrame({"a": np.arange(40.0), "w": ["u", "v"] * 20, "y": ["yes", "no"] * 20})


def test_dashes_and_underscores_are_one() -> None:
    assert data_spec("breast-cancer") == data_spec("breast_cancer")
    assert data_spec("tiny-imagenet")["source"] == {"name": "tiny_imagenet"}


def test_paths_go_to_the_source_that_reads_them(tmp_path: Path) -> None:
    (tmp_path / "images/cat").mkdir(parents=True)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub/train.parquet").write_bytes(b"")
    assert data_spec(tmp_path / "images")["source"] == {"name": "folder", "path": str(tmp_path / "images")}
    assert data_spec(str(tmp_path / "hub"))["source"]["name"] == "parquet_images"
    for name in ("a.csv", "a.tsv", "a.parquet"):
        assert data_spec(name)["source"] == {"name": "table", "path": str(Path(name).absolute())}


def test_a_path_as_the_name_of_a_spec_keeps_the_other_words(tmp_path: Path) -> None:
    spec = data_spec({"name": "a.csv", "target": "y", "batch_size": 8})
    assert spec == {
        "name": "resident",
        "source": {"name": "table", "path": str(Path("a.csv").absolute()), "target": "y"},
        "batch_size": 8,
    }
    nested = data_spec({"name": "resident", "source": {"name": "a.csv", "target": "y"}})
    assert nested["source"] == {"name": "table", "path": str(Path("a.csv").absolute()), "target": "y"}


def test_unknown_names_and_paths() -> None:
    with pytest.raises(UserError, match=r"unknown data set 'mnits'.*did you mean 'mnist'"):
        data_spec("mnits")
    with pytest.raises(UserError, match="does not exist"):
        data_spec("no/such/folder")
    with pytest.raises(UserError, match=r"has no argument 'targt'.*did you mean 'target'"):
        data_spec({"name": "a.csv", "targt": "y"})


def test_a_frame_a_file_and_their_star_after_loading_predict_alike(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    recipe = {"model": {"name": "mlp", "widths": [4]}, "steps": 20}
    first = ts.fit(FRAME, target="y", **recipe)
    second = ts.fit(str(tmp_path / "rows.csv"), target="y", out=tmp_path / "run", **recipe)
    loaded = ts.load(tmp_path / "run")
    rows = FRAME.drop(columns="y").iloc[:6]
    assert set(first.predict(rows)) <= {"yes", "no"}
    for star in (second, loaded):
        np.testing.assert_array_equal(star.predict_proba(rows), first.predict_proba(rows))
        np.testing.assert_array_equal(star.predict_proba(rows.to_dict("records")), first.predict_proba(rows))
    assert loaded.test() == second.test()


def test_a_folder_with_the_name_of_a_data_set_is_pointed_out(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not any("./iris" in line for line in open_stream("iris").said)
    (tmp_path / "iris").mkdir()
    for data in ("iris", {"name": "iris", "batch_size": 16}):
        assert "for the file or folder here write ./iris" in open_stream(data).said[0]
