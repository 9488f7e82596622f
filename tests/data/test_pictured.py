"""Tables with a column of images: read, split, stored and predicted as one; odd files named, nothing dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from thetastar import registry, star
from thetastar.cli import app
from thetastar.data.table import table
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.look.looking import look
from thetastar.recipe import Recipe

pytestmark = pytest.mark.usefixtures("cache")
GOOD, BAD = ["lovely", "fine", "sound"], ["poor", "dull", "weak"]
FILL = ["the", "item", "that", "we", "have"]


def things(where: Path, rows: int = 60) -> pd.DataFrame:
    """A price, a colour, a note and a photo of one brightness (the row's number) each; `things.csv` in the folder."""
    random = np.random.default_rng(0)
    (where / "photos").mkdir(parents=True, exist_ok=True)
    lines = []
    for row in range(rows):
        Image.new("RGB", (6, 4), (row, 2 * row, 100)).save(where / f"photos/{row}.png")
        tone = row % 2
        note = " ".join([*random.permutation(FILL)[:4], *random.choice(GOOD if tone else BAD, 2)])
        answer = ["no", "yes"][tone]
        lines.append((round(random.normal(20, 5), 2), ["red", "blue"][row // 2 % 2], note, f"photos/{row}.png", answer))
    frame = pd.DataFrame(lines, columns=["price", "colour", "note", "photo", "y"])
    frame.to_csv(where / "things.csv", index=False)
    return frame


def opened(path: Path, **arguments: Any) -> Any:
    return open_stream({"name": "table", "path": str(path), "target": "y", **arguments})


def test_a_table_with_photos_is_three_inputs(tmp_path: Path) -> None:
    things(tmp_path)
    stream = opened(tmp_path / "things.csv")
    shapes = {name: (field.kind, field.shape) for name, field in stream.schema.input.items()}
    assert shapes == {"table": ("vector", (4,)), "text": ("vector", (11,)), "image": ("image", (3, 4, 6))}
    image = stream.columns["input"]["image"]
    assert image.dtype == torch.uint8
    assert image.permute(0, 2, 3, 1).is_contiguous()
    assert image[:, :, 0, 0].tolist() == [[row, 2 * row, 100] for row in range(60)]
    assert "column 'photo' names images: read as 6×4 colour ones" in stream.said
    assert "3 inputs: table 4, text 11, image 3×4×6" in stream.said
    train = stream.rows["train"]
    assert stream.schema.input["image"].mean[0] * 255 == pytest.approx(np.mean(train), abs=1e-4)


def test_inputs_are_together_or_apart_as_asked(tmp_path: Path) -> None:
    frame = things(tmp_path)
    assert set(opened(tmp_path / "things.csv", inputs="together").schema.input) == {"table", "image"}
    plain = frame.drop(columns="photo")
    for wish, names in (("auto", None), ("apart", {"table", "text"})):
        found = open_stream({"name": "table", "frame": plain, "target": "y", "inputs": wish}).schema.input
        assert (set(found) if isinstance(found, dict) else None) == names
    alone = open_stream({"name": "table", "frame": frame[["photo", "y"]], "target": "y", "images": str(tmp_path)})
    assert alone.schema.input.kind == "image"  # type: ignore[union-attr]


def test_missing_and_broken_files_are_named_and_their_rows_kept(tmp_path: Path) -> None:
    """They and blanks take the mean colour of the training images alone."""
    frame = things(tmp_path)
    (tmp_path / "photos/cut.png").write_bytes(b"no image")
    frame.loc[[3, 5, 7], "photo"] = ["photos/none.png", None, "photos/cut.png"]
    frame.to_csv(tmp_path / "odd.csv", index=False)
    stream = opened(tmp_path / "odd.csv")
    named = "column 'photo': 2 of 59 images are missing or cannot be read: photos/none.png, photos/cut.png"
    assert named in stream.said
    assert "column 'photo': 3 rows without an image take the training images' mean colour" in stream.said
    assert sum(map(len, stream.rows.values())) == 60
    seen = [row for row in stream.rows["train"] if row not in (3, 5, 7)]
    image = stream.columns["input"]["image"]
    for row in (3, 5, 7):
        assert image[row, :, 0, 0].tolist() == [round(np.mean(seen)), round(2 * np.mean(seen)), 100]
    rows = frame.iloc[[5]].assign(photo=None)
    assert torch.equal(stream.source.transform(rows)["input"]["image"][0], image[5].float() * (1 / 255))


def test_the_fingerprint_covers_the_pictures(tmp_path: Path) -> None:
    things(tmp_path)
    before = opened(tmp_path / "things.csv").fingerprint
    assert opened(tmp_path / "things.csv").fingerprint == before
    Image.new("RGB", (6, 4), (250, 0, 0)).save(tmp_path / "photos/9.png")
    assert opened(tmp_path / "things.csv").fingerprint != before


def test_what_is_stored_prepares_rows_as_training_did(tmp_path: Path) -> None:
    """By file, frame and mapping; paths relative to the file's folder, to a named one, or absolute."""
    frame = things(tmp_path)
    stream = opened(tmp_path / "things.csv")
    again = table.restore(json.loads(json.dumps(stream.source.state())))
    expected = stream.gather(torch.arange(60))["input"]
    absolute = frame.assign(photo=[str(tmp_path / name) for name in frame["photo"]])
    named = frame.copy()
    named.attrs["folder"] = str(tmp_path)
    for raw in (tmp_path / "things.csv", absolute, named, absolute.to_dict(orient="records")):
        found = again.transform(raw)["input"]
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_folder_of_images_may_be_named(tmp_path: Path) -> None:
    frame = things(tmp_path)
    frame["photo"] = [Path(name).name for name in frame["photo"]]
    frame.to_csv(tmp_path / "bare.csv", index=False)
    stream = opened(tmp_path / "bare.csv", images="photos", size=8)
    assert stream.schema.input["image"].shape == (3, 8, 8)
    found = stream.source.transform(frame)["input"]["image"]  # wherever the frame is from
    assert torch.equal(found, stream.gather(torch.arange(60))["input"]["image"])
    lost = opened(tmp_path / "bare.csv")
    assert any(line.startswith("column 'photo' names images, but 0 of 60 are in") for line in lost.said)
    with pytest.raises(UserError, match=r"data\.images=elsewhere is no folder"):
        opened(tmp_path / "bare.csv", images="elsewhere")
    with pytest.raises(UserError, match="no column names images there"):
        opened(tmp_path / "bare.csv", images="photos", drop=["photo"])


def test_unreadable_images_of_a_user_are_refused_by_name(tmp_path: Path) -> None:
    frame = things(tmp_path)
    source = opened(tmp_path / "things.csv").source
    frame.loc[4, "photo"] = "photos/gone.png"
    frame.attrs["folder"] = str(tmp_path)
    with pytest.raises(UserError, match=r"1 of 60 images are missing or cannot be read: photos/gone\.png"):
        source.transform(frame)
    with pytest.raises(UserError, match="columns missing: photo"):
        source.transform(frame.drop(columns="photo"))


def test_trained_saved_and_loaded_it_predicts_what_it_was_judged_by(tmp_path: Path) -> None:
    """The default model; the test split's accuracy again from its rows in a file of their own."""
    frame = things(tmp_path)
    recipe = Recipe(
        data={"name": "table", "path": str(tmp_path / "things.csv"), "target": "y"},
        budget={"epochs": 8},
        engine={"device": "cpu", "precision": "float32"},
    )
    made = star.train(recipe, tmp_path / "run")
    assert registry.as_spec(made.recipe.model, "model")["name"] == "wide_deep"
    score = made.test()["accuracy"]
    rows = frame.iloc[made.stream.rows["test"]]  # type: ignore[attr-defined]
    rows.drop(columns="y").to_csv(tmp_path / "new.csv", index=False)
    said = star.load(tmp_path / "run").predict(tmp_path / "new.csv")
    assert np.mean(said == rows["y"].to_numpy()) == pytest.approx(score)
    printed = CliRunner().invoke(app, ["predict", str(tmp_path / "run"), str(tmp_path / "new.csv")])
    assert printed.stdout.split() == ["prediction", *said]


def test_looking_takes_the_column_for_paths(tmp_path: Path) -> None:
    things(tmp_path)
    found = look({"name": "table", "path": str(tmp_path / "things.csv"), "target": "y"})
    assert "column 'photo' names images: read as 6×4 colour ones" in found.said
    assert not any("photo" in finding.columns for finding in found.findings)
