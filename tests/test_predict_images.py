"""`theta predict` on images: files, folders, the input stream, Parquet; and on rows of numbers."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thetastar import star
from thetastar.cli import main

Predict = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stripes, upright or lying, as folders by class with given splits; a star trained on them; one of numbers."""
    where = tmp_path_factory.mktemp("stripes")
    random = np.random.default_rng(0)
    for split, count in (("train", 30), ("valid", 8), ("test", 11)):
        for label in ("lying", "upright"):
            (where / "stripes" / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 130, (8, 8), dtype=np.uint8)
                pixels[random.integers(8)] += 90
                image = Image.fromarray(pixels if label == "lying" else pixels.T)
                size = (12, 12) if number % 5 == 4 else (8, 8)
                image.resize(size).save(where / "stripes" / split / label / f"{number}.png")
    recipe = ["--model", "softmax", "--steps", "60", "algorithm.lr=0.02"]
    assert main(["fit", str(where / "stripes"), *recipe, "--out", str(where / "run")]) == 0
    assert main(["fit", "iris", "--model", "softmax", "--steps", "40", "--out", str(where / "iris")]) == 0
    return where


@pytest.fixture
def predict(place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Predict:
    monkeypatch.chdir(place)

    def run(*words: str | Path, stdin: bytes | None = None) -> tuple[int, str, str]:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        code = main(["predict", *map(str, words)])
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def table(said: tuple[int, str, str]) -> pd.DataFrame:
    assert said[0] == 0, said
    return pd.read_csv(io.StringIO(said[1]))


def test_the_images_of_the_test_split_score_what_the_run_scored(predict: Predict) -> None:
    found = table(predict("run", "stripes/test"))
    assert len(found) == 22
    assert [Path(file).suffix for file in found["file"]] == [".png"] * 22
    right = (found["prediction"] == [Path(file).parent.name for file in found["file"]]).sum()
    assert 11 < right < 22
    assert right / 22 == pytest.approx(star.load("run").test()["accuracy"], abs=1e-7)


def test_a_flat_folder_names_what_it_left_out(predict: Predict, place: Path) -> None:
    flat = place / "flat"
    flat.mkdir()
    for number in range(3):
        (flat / f"{number}.png").write_bytes((place / f"stripes/test/lying/{number}.png").read_bytes())
    (flat / "1.png").write_bytes((flat / "1.png").read_bytes()[:60])
    (flat / "empty.jpg").write_bytes(b"")
    (flat / "notes.txt").write_text("no image")
    Image.open(flat / "2.png").convert("CMYK").resize((9, 7)).save(flat / "3.jpg")
    said = predict("run", "flat", "--proba")
    found = table(said)
    assert list(found["file"]) == ["0.png", "2.png", "3.jpg"]
    assert "left alone as no images: notes.txt" in said[2]
    assert "2 of 5 images cannot be read and have no answer: 1.png, empty.jpg" in said[2]
    assert "1 of 5 images resized to 8×8" in said[2]
    expected = star.load("run").predict_proba([flat / name for name in found["file"]])
    np.testing.assert_allclose(found[["p(lying)", "p(upright)"]], expected, rtol=1e-5)


def test_one_image_by_name_by_stream_and_in_parquet(predict: Predict, place: Path) -> None:
    files = [place / f"stripes/test/upright/{number}.png" for number in range(5)]
    one = table(predict("run", files[0], "--proba"))
    streamed = table(predict("run", "-", "--proba", stdin=files[0].read_bytes()))
    assert streamed["file"].tolist() == ["-"]
    pd.testing.assert_frame_equal(one.drop(columns="file"), streamed.drop(columns="file"))
    cells = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    cells[3] = {"bytes": b"broken", "path": "x"}
    pd.DataFrame({"image": cells, "label": 1}).to_parquet(place / "hub.parquet")
    held = table(predict("run", "hub.parquet", "--proba"))
    assert held["row"].tolist() == [1, 2, 3, 5]
    assert held["p(upright)"][0] == pytest.approx(one["p(upright)"][0], rel=1e-5)


def test_rows_of_numbers_with_and_without_names(predict: Predict, place: Path) -> None:
    loaded = star.load(place / "iris")
    x = loaded.stream.sample("test", 20)["input"].numpy()
    expected = list(loaded.predict(x))
    pd.DataFrame(x).to_csv("plain.csv", index=False, header=False)
    pd.DataFrame(x, columns=list("abcd")).assign(name="n").to_csv("named.csv", index=False)
    pd.DataFrame(x, columns=list("abcd")).to_json("rows.jsonl", orient="records", lines=True)
    assert list(table(predict("iris", "plain.csv"))["prediction"]) == expected
    kept = table(predict("iris", "named.csv", "--keep", "name"))
    assert list(kept["prediction"]) == expected
    assert set(kept["name"]) == {"n"}
    assert list(table(predict("iris", "rows.jsonl"))["prediction"]) == expected
    own = pd.DataFrame(x, columns=list(loaded.schema.input.names))  # type: ignore[union-attr]
    own.iloc[:, ::-1].assign(more=1).to_csv("turned.csv", index=False)
    assert list(table(predict("iris", "turned.csv"))["prediction"]) == expected
    own.drop(columns="petal width (cm)").assign(petal_width=1).to_csv("misnamed.csv", index=False)
    code, _, said = predict("iris", "misnamed.csv")
    assert code == 2
    assert "'petal_width' for 'petal width (cm)'" in said
    Path("none.csv").write_text("a,b,c,d\n")
    assert predict("iris", "none.csv")[:2] == (0, "prediction\n")


@pytest.mark.parametrize(
    ("run", "file", "message"),
    [
        ("iris", "few.csv", "few.csv has 2 columns; expected 4 numbers a row"),
        ("iris", "gap.csv", "gap.csv, row 2: column 'b' is empty"),
        ("iris", "word.csv", "word.csv, row 2: column 'b' holds 'two'"),
        ("run", "few.csv", "or images of 1×8×8"),
        ("run", "bare", "bare holds no images (few.csv)"),
        ("run", "bad.png", "bad.png is no image that can be read"),
        ("run", "bads", "none of 2 images in bads"),
        ("iris", "bare", "bare for a star that was trained on rows of"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    predict: Predict, place: Path, run: str, file: str, message: str
) -> None:
    for folder in ("bare", "bads"):
        (place / folder).mkdir(exist_ok=True)
    (place / "few.csv").write_text("1,2\n")
    (place / "bare" / "few.csv").write_text("1,2\n")
    (place / "gap.csv").write_text("a,b,c,d\n1,2,3,4\n1,,3,4\n")
    (place / "word.csv").write_text("a,b,c,d\n1,2,3,4\n1,two,3,4\n")
    for name in ("bad.png", "bads/1.png", "bads/2.png"):
        (place / name).write_bytes(b"no image")
    code, out, err = predict(run, file)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_a_star_that_answers_nothing_says_so(predict: Predict, place: Path) -> None:
    assert main(["fit", "blobs", "--method", "gan", "--steps", "2", "--out", "dream"]) == 0
    Path("two.csv").write_text("1,2\n")
    code, out, err = predict("dream", "two.csv")
    assert (code, out) == (2, "")
    assert "this star predicts with gan: no prediction" in err
    assert main(["fit", "diabetes", "--model", "linear", "--steps", "2", "--out", "sugar"]) == 0
    Path("ten.csv").write_text(",".join("1234567890") + "\n")
    assert "this star predicts numbers: no probabilities" in predict("sugar", "ten.csv", "--proba")[2]
