"""Folders as people have them: labels from a table, every mode, and no file that disappears without a word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thetastar.data.folder import folder
from thetastar.defaults import data_spec, open_stream
from thetastar.errors import UserError

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Twelve grey images of 4×4 pixels, the n-th as bright as 10 n; no table yet."""
    (tmp_path / "scans").mkdir()
    for n in range(12):
        Image.new("L", (4, 4), 10 * n).save(tmp_path / f"scans/{n}.png")
    return tmp_path


def write(where: Path, rows: list[str], name: str = "labels.csv") -> None:
    (where / name).write_text("\n".join(rows) + "\n")


def test_one_label_an_image(scans: Path) -> None:
    write(
        scans, ["file,label,split", *(f"scans/{n}.png,{'uv'[n % 2]},{'train' if n < 8 else 'test'}" for n in range(12))]
    )
    assert data_spec(scans)["source"]["name"] == "folder"
    source = open_stream(scans).source
    assert source.target.names == ("u", "v")
    assert source.targets.tolist() == [0, 1] * 6
    assert source.inputs[:, 0, 0, 0].tolist() == [10 * n for n in range(12)]
    assert source.given["test"].tolist() == [8, 9, 10, 11]
    assert source.said == ["classification into 2 classes, from the word target 'label'"]


def test_several_labels_an_image(scans: Path) -> None:
    labels = ["sun|sea", "sea", "sun", "sea|sand|sun"] * 3
    write(scans, ["image,tags", *(f"scans/{n},{labels[n]}" for n in range(12))])  # names without their ending
    source = folder(path=str(scans))
    assert source.target.kind == "categories"
    assert source.target.names == ("sand", "sea", "sun")
    assert source.targets[:4].tolist() == [[0, 1, 1], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    assert source.said[0] == "multi-label classification into 3 labels, separated by '|' in label column 'tags'"
    (scans / "labels.csv").write_text((scans / "labels.csv").read_text().replace("|", " "))
    assert folder(path=str(scans), mark=" ").targets.tolist() == source.targets.tolist()
    assert folder(path=str(scans)).target.kind == "category"


def test_a_number_an_image(scans: Path) -> None:
    write(scans, ["id,age", *(f"scans/{n}.png,{n * 1.5}" for n in range(12))])
    source = folder(path=str(scans))
    assert source.target.kind == "number"
    assert source.targets.tolist() == [n * 1.5 for n in range(12)]


def test_the_option_target_names_the_column_of_labels(scans: Path) -> None:
    write(scans, ["file,label,size", *(f"scans/{n}.png,{'uv'[n % 2]},{n / 8}" for n in range(12))])
    target = open_stream({"name": str(scans), "target": "size"}).schema.target
    assert target is not None
    assert target.kind == "number"
    with pytest.raises(UserError, match=r"no column 'sise'.*did you mean 'size'"):
        open_stream({"name": str(scans), "target": "sise"})
    with pytest.raises(UserError, match="iris with target 'x'; expected the target it comes with; leave it out"):
        open_stream({"name": "iris", "target": "x"})


def test_a_table_beside_folders_of_classes_that_names_no_files_is_left_alone(tmp_path: Path) -> None:
    for n in range(4):
        (tmp_path / "ab"[n % 2]).mkdir(exist_ok=True)
        Image.new("L", (4, 4), n).save(tmp_path / "ab"[n % 2] / f"{n}.png")
    write(tmp_path, ["class,says", "a,first", "b,second"], "words.csv")
    source = folder(path=str(tmp_path))
    assert source.target.names == ("a", "b")
    assert "left alone as no images: words.csv" in source.said


def test_what_table_and_folder_do_not_share_is_said(scans: Path) -> None:
    (scans / "scans/broken.png").write_bytes(b"")
    names = [*(f"{n}.png" for n in range(10)), "broken.png", "absent.png"]
    write(scans, ["file,label", *(f"scans/{name},{'uv'[n % 2]}" for n, name in enumerate(names))])
    source = folder(path=str(scans))
    assert source.rows == 10
    assert source.said[1:] == [
        "1 of 12 rows of labels.csv name no file: scans/absent.png",
        f"left out, as labels.csv does not name them: scans{os.sep}10.png, scans{os.sep}11.png",
        f"1 of 11 images left out as unreadable: scans{os.sep}broken.png",
    ]
    assert source.targets.tolist() == [0, 1] * 5


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        (["file,label", "scans/0.png,u", "scans/1.png,"], {}, "label column 'label' has blanks"),
        (["file,label", "no.png,u", "none.png,v"], {}, r"none of its 2 files is in .* \(no\.png, …\)"),
        (["file,label", "scans/0.png,u"], {"label": "labl"}, "no column 'labl'.*did you mean 'label'"),
        (["file,a,b", "scans/0.png,u,1"], {}, r"no column is called label.*set data\.label="),
        (["file,label", "scans/0.png,u"], {"labels": "x.csv"}, "no file .*x.csv"),
        (
            ["file,label,split", *(f"scans/{n}.png,{'uv'[n % 2]},trian" for n in range(12))],
            {},
            "split column 'split' holds 'trian'.*did you mean 'train'",
        ),
    ],
)
def test_bad_tables_of_labels_are_refused(
    scans: Path, rows: list[str], arguments: dict[str, Any], message: str
) -> None:
    write(scans, rows)
    with pytest.raises(UserError, match=message) as caught:
        folder(path=str(scans), **arguments)
    assert "\n" not in str(caught.value)


def test_every_odd_file_is_read_right_or_named(tmp_path: Path) -> None:
    """A corrupt JPEG, grey, CMYK, 16 bits, a palette, a turned photo, an empty file, an empty class and a text file."""
    cat, dog = tmp_path / "cat", tmp_path / "dog"
    for where in (cat, dog, tmp_path / "nobody"):
        where.mkdir()
    for n in range(3):
        Image.new("RGB", (8, 8), (200, 100, 50)).save(dog / f"{n}.png")
    Image.new("L", (8, 8), 77).save(cat / "grey.png")
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(cat / "cmyk.jpg", quality=95)
    Image.fromarray(np.full((8, 8), 130 * 257, np.uint16)).save(cat / "sixteen.png")
    Image.new("RGB", (8, 8), (0, 255, 0)).convert("P", palette=Image.Palette.ADAPTIVE).save(cat / "palette.png")
    turned = Image.new("RGB", (8, 8), "black")
    turned.paste((255, 255, 255), (0, 0, 8, 4))  # white above; turned by the camera, so white on the right
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(cat / "turned.png", exif=exif)
    Image.effect_noise((8, 8), 60).convert("RGB").save(cat / "corrupt.jpg")
    (cat / "corrupt.jpg").write_bytes((cat / "corrupt.jpg").read_bytes()[:180])
    (dog / "empty.jpg").write_bytes(b"")
    (dog / "notes.txt").write_text("two dogs")
    (tmp_path / "readme.txt").write_text("about")
    source = folder(path=str(tmp_path))
    assert source.target.names == ("cat", "dog")
    files = ["cmyk", "grey", "palette", "sixteen", "turned"]
    pixels = {name: source.inputs[number].permute(1, 2, 0).numpy() for number, name in enumerate(files)}
    assert source.targets.tolist() == [0] * 5 + [1] * 3
    np.testing.assert_allclose(pixels["cmyk"][4, 4], [255, 0, 0], atol=12)
    assert pixels["grey"][0, 0].tolist() == [77] * 3
    assert pixels["sixteen"][0, 0].tolist() == [130] * 3
    assert pixels["palette"][0, 0].tolist() == [0, 255, 0]
    assert pixels["turned"][:, :, 0].tolist() == [[0] * 4 + [255] * 4] * 8
    assert source.said[1:] == [
        f"left alone as no images: readme.txt, dog{os.sep}notes.txt",
        "folders without images are no classes: nobody",
        f"2 of 10 images left out as unreadable: cat{os.sep}corrupt.jpg, dog{os.sep}empty.jpg",
        "2 of 8 images grey among colour ones: three equal channels",
    ]


def test_hidden_images_are_named_and_hidden_folders_left_alone(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png", "b/.old.png", "b/._1.png", ".cache/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / name)
    source = folder(path=str(tmp_path))
    assert source.rows == 4
    assert [line for line in source.said if "hidden" in line] == [f"hidden images left out: b{os.sep}.old.png"]


def test_links_frames_and_unusual_files_are_read_or_named(tmp_path: Path) -> None:
    """By hand: floats and numbers of 16 bits lie between black and white, transparency on white, frames are counted."""
    cat, dog = tmp_path / "cat", tmp_path / "dog"
    cat.mkdir()
    dog.mkdir()
    for n in range(3):
        Image.new("RGB", (8, 8), (200, 100, 50)).save(dog / f"{n}.png")
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    red.save(cat / "a.gif", save_all=True, append_images=[blue])
    red.save(cat / "b.webp", save_all=True, append_images=[blue], lossless=True)
    Image.fromarray(ramp).save(cat / "c.TIF")
    Image.fromarray((ramp / 65535).astype(np.float32)).save(cat / "d.tiff")
    Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(cat / "e.PNG")
    holes = Image.new("P", (8, 8), 1)
    holes.putpalette([0, 0, 0, 0, 255, 0])
    holes.paste(0, (0, 0, 4, 8))
    holes.save(cat / "f.png", transparency=0)
    Image.new("L", (8, 8), 5).save(cat / "g.jpg", "PNG")
    (cat / "h.png").symlink_to(dog / "0.png")
    (cat / "i.png").symlink_to(tmp_path / "gone.png")
    (cat / "loop").symlink_to(tmp_path)
    for name in (".DS_Store", "._a.png", "Thumbs.db"):
        (cat / name).write_bytes(b"\0")
    source = folder(path=str(tmp_path))
    assert source.targets.tolist() == [0] * 8 + [1] * 3
    a, b, c, d, e, f, g, h = (image.permute(1, 2, 0).numpy() for image in source.inputs[:8])
    for image, colour in ((a, (255, 0, 0)), (b, (255, 0, 0)), (g, (5, 5, 5)), (h, (200, 100, 50))):
        assert image.reshape(-1, 3).tolist() == [list(colour)] * 64
    for image in (c, d):
        np.testing.assert_array_equal(image[:, :, 0], np.round(ramp / 65535 * 255))
    np.testing.assert_allclose(e[0, 0], [255, 127, 127], atol=1)  # half transparent, on white
    assert f[0].tolist() == [[255] * 3] * 4 + [[0, 255, 0]] * 4
    assert source.said[1:] == [
        f"left alone as no images: cat{os.sep}Thumbs.db, cat{os.sep}loop",
        f"1 of 12 images left out as unreadable: cat{os.sep}i.png",
        "2 of 11 images with several frames: the first is read",
        "3 of 11 images grey among colour ones: three equal channels",
    ]
