"""Data sets of the hub: what is recognised in them, checked on files; and one clear line where there is no hub."""

from __future__ import annotations

import io
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thetastar.cli import main
from thetastar.data import hub as hub_
from thetastar.defaults import data_spec, open_stream
from thetastar.errors import UserError

NAMES = ["bad", "good"]


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package, its cache apart from the user's."""
    found = pytest.importorskip("datasets", reason="the extra `hub` is not installed")
    monkeypatch.setattr(found.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("THETASTAR_CACHE", str(tmp_path / "own"))
    return found


def reviews(datasets: Any, folder: Path) -> None:
    """Sixty texts with classes in two files; a third, whose labels are hidden."""
    kinds = datasets.Features(
        {
            "text": datasets.Value("string"),
            "length": datasets.Value("int64"),
            "scores": datasets.List(datasets.Value("float32")),
            "label": datasets.ClassLabel(names=NAMES),
        }
    )
    random = np.random.default_rng(0)
    for name, rows in (("train", 60), ("validation", 30), ("test", 20)):
        label = [-1] * rows if name == "test" else [i % 2 for i in range(rows)]
        words = [" ".join([*random.choice(["a", "b", "c"], 4), NAMES[y], str(i)]) for i, y in enumerate(label)]
        columns = {"text": words, "length": [len(word) for word in words], "scores": [[0.5]] * rows, "label": label}
        datasets.Dataset.from_dict(columns, features=kinds).to_parquet(folder / f"{name}-00000-of-00001.parquet")


def test_texts_and_numbers_become_a_table_with_named_classes_and_given_splits(datasets: Any, tmp_path: Path) -> None:
    folder = tmp_path / "reviews"
    folder.mkdir()
    reviews(datasets, folder)
    files = {split: str(next(folder.glob(f"{split}-*"))) for split in ("train", "validation", "test")}
    loaded = datasets.load_dataset("parquet", data_files=files)
    source = hub_.source_of(loaded, "owner/reviews", None, "auto", None, (), {}, None)
    assert (source.name, source.rows) == ("reviews", 90)
    assert source.target.names == ("bad", "good")
    assert {name: len(rows) for name, rows in source.given.items()} == {"train": 60, "valid": 30}
    assert source.given["valid"].tolist() == list(range(60, 90))
    assert source.targets.tolist() == [i % 2 for i in range(60)] + [i % 2 for i in range(30)]
    assert "split 'test' is left out: its labels are hidden" in source.said
    assert "columns of lists, sounds and the like are left out: scores" in source.said
    schema, _ = source.prepare(source.given["train"])
    assert "length" in schema.input.names
    assert "text: good" in schema.input.names


def test_a_folder_is_loaded_as_the_hub_would_and_learnt_from(datasets: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """The whole way, with a local folder in the place of owner/name: what loads it is the same."""
    folder = tmp_path / "reviews"
    folder.mkdir()
    reviews(datasets, folder)
    monkeypatch.setattr(hub_, "_away", lambda *_: "")
    monkeypatch.chdir(tmp_path)
    words = ["fit", f"hub:{folder}", "data.drop=[length]", "--steps", "60", "--model", "softmax", "--out", "run"]
    assert main(words) == 0
    pd.DataFrame({"text": ["a b good", "c a bad"]}).to_csv("new.csv", index=False)
    assert main(["predict", "run", "new.csv"]) == 0


def test_images_become_arrays_with_their_pixels(datasets: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
    encoded = []
    for one in pixels:
        stream = io.BytesIO()
        Image.fromarray(one).save(stream, "PNG")
        encoded.append({"bytes": stream.getvalue(), "path": None})
    encoded[5] = {"bytes": b"no image", "path": None}
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    label = [i % 2 for i in range(24)]
    parts = {"train": slice(0, 16), "test": slice(16, 24)}
    loaded = {
        name: datasets.Dataset.from_dict({"image": encoded[part], "label": label[part]}, features=kinds)
        for name, part in parts.items()
    }
    source = hub_.source_of(loaded, "owner/pets", None, "auto", None, (), {}, None)
    kept = np.delete(np.arange(24), 5)
    np.testing.assert_array_equal(source.inputs.numpy(), pixels[kept].transpose(0, 3, 1, 2))
    assert source.target.names == ("cat", "dog")
    assert source.targets.tolist() == [label[i] for i in kept]
    assert source.given["test"].tolist() == list(range(15, 23))
    assert any("row 5 of train" in line for line in source.said)


def test_columns_and_splits_that_are_not_there_are_refused(datasets: Any) -> None:
    rows = datasets.Dataset.from_dict({"a": [1.0, 2.0] * 6, "b": [0.5, 1.5] * 6})
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"train": rows}, {}, "no target given; expected one of its columns: a, b; name it with --target"),
        ({"train": rows}, {"target": "c"}, "has no column 'c'"),
        ({"one": rows, "two": rows}, {"target": "a"}, "has the splits one, two"),
        ({"train": rows}, {"target": "a", "splits": {"tset": "test"}}, "no split 'tset'"),
    ]
    for loaded, more, message in cases:
        given = {"target": None, "task": "auto", "image": None, "drop": (), "splits": {}, "size": None, **more}
        with pytest.raises(UserError, match=message):
            hub_.source_of(loaded, "owner/name", **given)
    assert hub_.source_of({"all": rows}, "owner/name", "a", "auto", None, (), {}, None).given is None


def test_a_name_of_the_hub_becomes_its_source() -> None:
    assert data_spec({"name": "hub:owner/name", "target": "y", "config": "de"}) == {
        "name": "resident",
        "source": {"name": "hub", "repo": "owner/name", "target": "y", "config": "de"},
    }


def test_without_a_network_one_line_says_so(datasets: Any, monkeypatch: Any, capsys: Any) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    assert main(["compare", "hub:nobody/nothing-of-the-kind"]) == 2
    error = capsys.readouterr().err.strip()
    assert "the hub cannot be reached" in error
    assert error.count("\n") == 0


def test_without_the_package_one_line_says_what_to_install(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"needs the package datasets.*pip install 'thetastar\[hub\]'") as caught:
        open_stream("hub:owner/name")
    assert "\n" not in str(caught.value)
