"""Folders of images: every file is used or named, given splits are kept, sizes and modes are brought together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from thetastar.data.folder import folder
from thetastar.data.prepare import pictures
from thetastar.defaults import open_stream
from thetastar.errors import UserError

pytestmark = pytest.mark.usefixtures("cache")


def paint(path: Path, colour: Any = 100, size: tuple[int, int] = (6, 4), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Five grey cats and five grey dogs of 6×4 pixels; the n-th is as bright as 10 n, dogs 100 more."""
    for n in range(5):
        paint(tmp_path / f"cat/{n}.png", 10 * n)
        paint(tmp_path / f"dog/{n}.png", 100 + 10 * n)
    return tmp_path


def test_classes_are_the_folders_and_pixels_the_files(animals: Path) -> None:
    source = folder(path=str(animals))
    assert source.target.names == ("cat", "dog")
    assert source.targets.tolist() == [0] * 5 + [1] * 5
    assert source.inputs.shape == (10, 1, 4, 6)
    assert source.inputs[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 100, 110, 120, 130, 140]
    assert source.said == ["classification into 2 classes, from the names of the sub-folders"]
    assert source.given is None


def test_odd_files_are_named_in_one_line_each(animals: Path) -> None:
    (animals / "cat/empty.png").write_bytes(b"")
    (animals / "cat/text.jpg").write_text("no image")
    whole = (animals / "dog/0.png").read_bytes()
    (animals / "dog/cut.png").write_bytes(whole[:50])
    (animals / "dog/notes.txt").write_text("about dogs")
    (animals / ".hidden").mkdir()
    source = folder(path=str(animals))
    assert source.rows == 10
    assert source.said[1:] == [
        f"left alone as no images: dog{os.sep}notes.txt",
        f"3 of 13 images left out as unreadable: cat{os.sep}empty.png, cat{os.sep}text.jpg, dog{os.sep}cut.png",
    ]
    assert source.targets.tolist() == [0] * 5 + [1] * 5


def test_sizes_and_modes_are_brought_together_and_said(animals: Path) -> None:
    paint(animals / "cat/big.png", 50, (60, 40))
    paint(animals / "dog/colour.png", (200, 100, 50), mode="RGB")
    source = folder(path=str(animals))
    assert source.inputs.shape == (12, 3, 4, 6)
    rows = {tuple(image[:, 2, 2].tolist()) for image in source.inputs}
    assert {(50, 50, 50), (200, 100, 50)} <= rows
    assert source.said[1:] == [
        "1 of 12 images resized to 6×4 (the most common size)",
        "11 of 12 images grey among colour ones: three equal channels",
    ]
    assert folder(path=str(animals), size=8).inputs.shape == (12, 3, 8, 8)


def test_large_images_are_scaled_down_to_a_longest_side(tmp_path: Path) -> None:
    for name in ("a/1", "a/2", "b/1", "b/2"):
        paint(tmp_path / f"{name}.png", 9, (1024, 512))
    source = folder(path=str(tmp_path))
    assert source.inputs.shape == (4, 1, 128, 256)
    assert source.said[1] == "4 of 4 images resized to 256×128 (the most common size is 1024×512)"


def test_given_splits_are_kept(animals: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    where = tmp_path_factory.mktemp("splits")
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        for n in range(count):
            paint(where / split / f"cat/{n}.png", n)
            paint(where / split / f"dog/deep/{n}.png", 100 + n)
    stream = open_stream(where)
    assert [stream.size(split) for split in ("train", "valid", "test")] == [8, 4, 6]
    files = sorted(str(file.relative_to(where)) for file in where.rglob("*.png"))
    for split, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        assert {files[row].split(os.sep)[0] for row in stream.rows[split]} == {name}
    assert open_stream(animals).size("train") < 10


def test_the_second_start_decodes_nothing_until_a_file_changes(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = folder(path=str(animals))

    def never(*_: Any) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(pictures, "measure_all", never)
    second = folder(path=str(animals))
    assert torch.equal(first.inputs, second.inputs)
    assert first.fingerprint == second.fingerprint
    os.utime(animals / "cat/1.png", ns=(1, 1))
    with pytest.raises(AssertionError, match="decoded again"):
        folder(path=str(animals))


def test_equal_images_have_equal_fingerprints_wherever_they_lie(animals: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(animals, tmp_path / "else" / "copy")
    first = folder(path=str(animals / "else" / "copy")).fingerprint
    shutil.move(copy, tmp_path.parent / f"{tmp_path.name}-moved")
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    assert folder(path=str(moved)).fingerprint == first
    paint(moved / "cat/1.png", 11)
    assert folder(path=str(moved)).fingerprint != first


def test_bad_folders(animals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(match: str, path: Path) -> None:
        with pytest.raises(UserError, match=match) as caught:
            folder(path=str(path))
        assert "\n" not in str(caught.value)

    refused("cannot read .*no such file", tmp_path / "nowhere")
    refused("cannot read .*not a directory", animals / "cat/1.png")
    refused("holds no images in sub-folders", animals / "cat")
    paint(tmp_path / "one/only/1.png")
    refused(r"images of one class \(only\)", tmp_path / "one")
    for name in ("a/1", "a/2", "b/1"):
        paint(tmp_path / f"single/{name}.png")
    refused("class 'b' has a single example", tmp_path / "single")
    for name in ("a/1", "b/1"):
        (tmp_path / "blank" / name).parent.mkdir(parents=True)
        (tmp_path / "blank" / f"{name}.png").write_bytes(b"")
    refused("none of 2 images can be read", tmp_path / "blank")

    def denied(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", denied)
    refused("cannot read .*permission denied", animals)


def test_a_file_that_may_not_be_read_is_named(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def denied(self: Path) -> bytes:
        if self.name == "2.png" and self.parent.name == "cat":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", denied)
    source = folder(path=str(animals))
    assert source.rows == 9
    assert source.said[1].endswith(f"unreadable: cat{os.sep}2.png")


def test_predicting_from_files(animals: Path) -> None:
    source = folder(path=str(animals))
    source.prepare(np.arange(10))
    x = source.transform([animals / "dog/3.png", animals / "cat/2.png"])["input"]
    torch.testing.assert_close(x[:, 0, 0, 0], torch.tensor([130.0, 20.0]) / 255)
