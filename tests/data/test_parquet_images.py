"""Images in Parquet files: what was stored comes out, splits follow the files' names, nothing is decoded twice."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from thetastar.data.arrays import arrays
from thetastar.data.named import tiny_imagenet
from thetastar.data.parquet_images import parquet_images
from thetastar.data.prepare import decode, decoding, pictures
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.protocols import Clock

pytestmark = pytest.mark.usefixtures("cache")
random = np.random.default_rng(0)


def png(array: Any, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(stream, format, **options)
    return stream.getvalue()


def store(
    path: Path, blobs: Sequence[bytes | None], labels: Any, names: Sequence[str] = (), column: str = "label"
) -> None:
    """A file in the hub's schema."""
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    images = pa.array([{"bytes": blob, "path": f"{n}.png"} for n, blob in enumerate(blobs)], kind)
    info = {"info": {"features": {column: {"names": list(names), "_type": "ClassLabel"}}}} if names else {}
    entry = pa.table({"image": images, column: pa.array(labels)}).replace_schema_metadata(
        {"huggingface": json.dumps(info)}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(entry, path)


def grey(count: int, height: int = 5, width: int = 7) -> np.ndarray:
    return random.integers(0, 256, (count, height, width), dtype=np.uint8)


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Twelve grey images in two shards of train, one valid and one test file."""
    pixels = grey(12)
    for name, part in (
        ("train-00000-of-00002", slice(0, 4)),
        ("train-00001-of-00002", slice(4, 8)),
        ("validation", slice(8, 10)),
        ("test", slice(10, 12)),
    ):
        rows = range(12)[part]
        store(tmp_path / f"{name}.parquet", [png(pixels[n]) for n in rows], [n % 2 for n in rows], ["cat", "dog"])
    return tmp_path, pixels


def test_pixels_labels_names_and_splits_are_those_stored(small: tuple[Path, np.ndarray]) -> None:
    path, pixels = small
    stream = open_stream(path)
    assert {split: stream.size(split) for split in ("train", "valid", "test")} == {"train": 8, "valid": 2, "test": 2}
    for split, rows in (("train", range(8)), ("valid", range(8, 10)), ("test", range(10, 12))):
        batch = stream.sample(split, 8)
        expected = torch.from_numpy(pixels[list(rows)])[:, None] / 255
        torch.testing.assert_close(batch["input"], expected)
        assert batch["target"].tolist() == [n % 2 for n in rows]
    assert stream.schema.target.names == ("cat", "dog")
    train = pixels[:8] / 255
    assert stream.schema.input.mean == pytest.approx((train.mean(),))
    assert stream.schema.input.std == pytest.approx((train.std(),))
    assert stream.columns["input"].dtype == torch.uint8
    assert stream.columns["input"].is_contiguous(memory_format=torch.channels_last)


def test_a_split_may_serve_as_another(small: tuple[Path, np.ndarray]) -> None:
    source = parquet_images(path=str(small[0]), splits={"valid": "test"})
    assert {name: len(rows) for name, rows in source.given.items()} == {"train": 8, "test": 4}


def test_the_second_start_decodes_nothing(small: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_stream(small[0])

    def never(*_: Any) -> None:
        raise AssertionError("decoded again")

    for name in ("measure_all", "decode_all"):
        monkeypatch.setattr(pictures, name, never)
    second = open_stream(small[0])
    assert torch.equal(first.columns["input"], second.columns["input"])
    assert first.fingerprint == second.fingerprint
    assert first.said == second.said
    with pytest.raises(AssertionError, match="decoded again"):
        parquet_images(path=str(small[0]), size=3)
    store(small[0] / "test.parquet", [png(image) for image in grey(2)], [0, 1], ["cat", "dog"])
    with pytest.raises(AssertionError, match="decoded again"):
        open_stream(small[0])


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "strange"])
def test_a_damaged_cache_is_made_again(small: tuple[Path, np.ndarray], cache: Path, damage: str) -> None:
    first = open_stream(small[0])
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes({"flip": content, "cut": content[:-9], "empty": b"", "strange": b"something else"}[damage])
    second = open_stream(small[0])
    assert torch.equal(first.columns["input"], second.columns["input"])
    assert sum("was damaged" in line for line in second.said) == 1
    assert not any("was damaged" in line for line in open_stream(small[0]).said)
    assert [inner.suffix for inner in cache.iterdir()] == [".safetensors"]


def test_a_cache_that_cannot_be_written_is_said_and_no_more(
    small: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("THETASTAR_CACHE", str(tmp_path / "file" / "cache"))
    stream = open_stream(small[0])
    assert stream.size("train") == 8
    assert any("cannot be written" in line for line in stream.said)


def test_workers_decode_as_one_process_does(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = [png(image) for image in grey(40)]
    blobs[7], blobs[21] = b"", blobs[21][:60]
    alone = decoding.decode_all(blobs, (6, 4, 3), 0)
    monkeypatch.setattr(decoding, "WORTH", 0.0)
    monkeypatch.setattr(decoding, "CHUNK", 8)
    monkeypatch.setattr(decoding, "cores", lambda: 2)
    together = decoding.decode_all(blobs, (6, 4, 3), 0)
    assert np.array_equal(alone[0], together[0])
    assert np.array_equal(alone[1], together[1])
    assert np.flatnonzero(~alone[0]).tolist() == [7, 21]


def test_a_worker_that_dies_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "WORTH", 0.0)
    monkeypatch.setattr(decoding, "CHUNK", 8)
    monkeypatch.setattr(decoding, "cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(UserError, match="ended early"):
        decoding.decode_all([png(image) for image in grey(40)], (6, 4, 3), 0)


def test_grey_among_colour_and_odd_sizes() -> None:
    colour = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    assert decode.pixels(png(colour), 4, 4, 3).tolist() == colour.tolist()
    one = grey(1, 4, 4)[0]
    assert decode.pixels(png(one), 4, 4, 3).tolist() == np.repeat(one[:, :, None], 3, 2).tolist()
    assert decode.pixels(png(np.full((9, 9), 77, np.uint8)), 4, 6, 1).tolist() == np.full((6, 4, 1), 77).tolist()


def test_unusual_modes() -> None:
    deep = Image.fromarray((grey(1, 3, 3)[0].astype(np.uint16) << 8) + 255)
    assert decode.measure(png(deep)) == (3, 3, 1, 0)
    assert decode.pixels(png(deep), 3, 3, 1)[..., 0].tolist() == np.round(np.asarray(deep) / 65535 * 255).tolist()
    clear = Image.new("RGBA", (2, 2), (9, 9, 9, 0))
    assert (decode.pixels(png(clear), 2, 2, 3) == 255).all()  # transparency lies on white
    lying = Image.new("L", (6, 2))
    exif = Image.Exif()
    exif[decode.ORIENTATION] = 6
    blob = png(lying, "JPEG", exif=exif)
    assert decode.measure(blob) == (2, 6, 1, 0)
    assert decode.pixels(blob, 2, 6, 1).shape == (6, 2, 1)


def test_unreadable_rows_are_named_and_left_out(tmp_path: Path) -> None:
    blobs = [png(image) for image in grey(8)]
    blobs[3], blobs[6] = b"no image", None
    store(tmp_path / "all.parquet", blobs, [0, 1] * 4)
    stream = open_stream(tmp_path / "all.parquet")
    assert sum(stream.size(split) for split in ("train", "valid", "test")) == 6
    line = "2 of 8 images left out as unreadable: row 3 of all.parquet, row 6 of all.parquet"
    assert line in stream.said
    assert stream.source.targets.tolist() == [0, 1, 0, 0, 1, 1]


def test_labels_in_words_or_under_another_name(tmp_path: Path) -> None:
    store(tmp_path / "a.parquet", [png(image) for image in grey(4)], ["b", "a", "b", "a"], column="kind")
    source = parquet_images(path=str(tmp_path / "a.parquet"), label="kind")
    assert source.target.names == ("a", "b")
    assert source.targets.tolist() == [1, 0, 1, 0]


def test_a_class_that_does_not_occur_moves_no_name(tmp_path: Path) -> None:
    store(tmp_path / "a.parquet", [png(image) for image in grey(4)], [2, 0, 2, 0], ["zero", "one", "two"])
    source = parquet_images(path=str(tmp_path / "a.parquet"))
    assert [source.target.names[code] for code in source.targets] == ["two", "zero", "two", "zero"]


@pytest.mark.parametrize(
    ("blobs", "labels", "arguments", "message"),
    [
        (4, [0, 1, 0, 1], {"label": "labels"}, r"has no column 'labels'.*did you mean 'label'"),
        (4, [0, 1, 0, None], {}, "no label in 1 of 4 rows"),
        (4, [0, 1, -1, -1], {}, "no label in 2 of 4 rows"),
        (4, [0, 1, 0, 2], {}, "classes '1', '2' have a single example"),
        (4, [0.5, 1.5, 0.5, 1.5], {}, "labels of type double"),
        (0, [], {}, "has no rows"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, blobs: int, labels: Any, arguments: Any, message: str) -> None:
    store(
        tmp_path / "a.parquet",
        [png(image) for image in grey(blobs)] if blobs else [],
        labels or pa.array([], pa.int64()),
    )
    with pytest.raises(UserError, match=message):
        parquet_images(path=str(tmp_path / "a.parquet"), **arguments)


def test_other_bad_paths(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no Parquet file"):
        parquet_images(path=str(tmp_path))
    with pytest.raises(UserError, match="does not exist"):
        parquet_images(path=str(tmp_path / "none.parquet"))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match=r"cannot read .*broken"):
        parquet_images(path=str(tmp_path / "broken.parquet"))
    pq.write_table(pa.table({"text": ["a"], "label": [0]}), tmp_path / "text.parquet")
    with pytest.raises(UserError, match="no column of images"):
        parquet_images(path=str(tmp_path / "text.parquet"))
    store(tmp_path / "blank.parquet", [b"", b"x"], [0, 1])
    with pytest.raises(UserError, match="none of 2 images can be read"):
        parquet_images(path=str(tmp_path / "blank.parquet"))


@pytest.mark.parametrize("size", [None, 4])
def test_what_is_handed_to_predict_is_read_as_in_training(tmp_path: Path, size: int | None) -> None:
    pixels = random.integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
    store(tmp_path / "a.parquet", [png(image) for image in pixels], [0, 1, 0, 1])
    made = parquet_images(path=str(tmp_path / "a.parquet"), size=size)
    _, columns = made.prepare(np.arange(4))
    stored = arrays.restore(json.loads(json.dumps(made.state())))
    expected = columns["input"].float() / 255
    files = [tmp_path / f"{n}.png" for n in range(4)]
    for file, image in zip(files, pixels, strict=True):
        file.write_bytes(png(image))
    assert torch.equal(stored.transform(files)["input"], expected)
    assert torch.equal(stored.transform([Image.fromarray(image) for image in pixels])["input"], expected)
    assert torch.equal(stored.transform(str(files[2]))["input"], expected[2:3])
    bytes_ = columns["input"]
    assert torch.equal(stored.transform(bytes_)["input"], expected)
    assert torch.equal(stored.transform(bytes_.permute(0, 2, 3, 1).numpy())["input"], expected)
    assert torch.equal(stored.transform(bytes_[1])["input"], expected[1:2])
    assert torch.equal(stored.transform(expected)["input"], expected)
    for wrong in (torch.zeros(2, 3, 5, 5), np.zeros((6, 6)), tmp_path / "none.png", tmp_path / "a.parquet"):
        with pytest.raises(UserError, match=r"images of shape|cannot read|no image"):
            stored.transform(wrong)


def test_without_the_folder_the_variable_to_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THETASTAR_DATA", raising=False)
    with pytest.raises(UserError, match=r"THETASTAR_DATA is not set.*set THETASTAR_DATA=/path"):
        open_stream("mnist")
    monkeypatch.setenv("THETASTAR_DATA", str(tmp_path))
    with pytest.raises(UserError, match="'cifar10-jpeg' is in no folder of THETASTAR_DATA"):
        open_stream("cifar10")


def test_several_data_folders_and_tiny_imagenets_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first").mkdir()
    for name, rows in (("train-00000-of-00001", 20), ("valid", 6)):
        store(tmp_path / f"second/tiny-imagenet/{name}.parquet", [png(i) for i in grey(rows)], [0, 1] * (rows // 2))
    monkeypatch.setenv("THETASTAR_DATA", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert sorted(tiny_imagenet().given) == ["test", "train"]
    stream = open_stream("tiny-imagenet")
    assert stream.size("test") == 6
    assert stream.size("train") + stream.size("valid") == 20
    assert stream.said[0].startswith("Tiny ImageNet: classification into 2 classes")


def test_real_digits_match_a_plain_decoding(shared_data: Path) -> None:
    source = parquet_images(path=str(shared_data / "mnist/test.parquet"))
    assert source.inputs.shape == (10_000, 1, 28, 28)
    rows = pq.read_table(shared_data / "mnist/test.parquet").slice(0, 50).to_pylist()
    for row, image, code in zip(rows, source.inputs, source.targets, strict=False):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))), image[0].numpy())
        assert source.target.names[code] == str(row["label"])
    batch = next(open_stream(shared_data / "mnist/test.parquet").batches("train", Clock(0)))
    assert batch["input"].min() >= 0
    assert batch["input"].max() == 1
