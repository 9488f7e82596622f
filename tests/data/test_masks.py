"""Images with masks: what was stored comes out, in the classes that the legend names; what is wrong is named."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from thetastar import registry
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.functional.masks import VOID

pytestmark = pytest.mark.usefixtures("cache")
random = np.random.default_rng(0)
ROWS, HEIGHT, WIDTH = 12, 6, 8
IMAGES = random.integers(0, 256, (ROWS, HEIGHT, WIDTH, 3), dtype=np.uint8)
MASKS = random.choice([0, 1, 2, 3, 255], (ROWS, HEIGHT, WIDTH)).astype(np.uint8)


def png(array: Any) -> bytes:
    stream = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(stream, "PNG")
    return stream.getvalue()


def folder(where: Path, masks: Any = MASKS, classes: str = "sky\nvoid\ncar\ntree\n") -> Path:
    for side, pictures, ending in (("images", IMAGES, "bmp"), ("masks", masks, "png")):
        (where / side).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
            image.save(where / side / f"{number:02}.{ending}")
    if classes:
        (where / "classes.txt").write_text(classes)
    return where


def stored(where: Path, masks: Any = MASKS, classes: str = "sky\nvoid\ncar\ntree\n") -> Path:
    where.mkdir(parents=True, exist_ok=True)
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns = {
        "image": pa.array([{"bytes": png(image)} for image in IMAGES], kind),
        "mask": pa.array([{"bytes": png(mask)} for mask in masks], kind),
    }
    pq.write_table(pa.table(columns), where / "frames.parquet")
    if classes:
        (where / "classes.txt").write_text(classes)
    return where


MAKERS = [folder, stored]


@pytest.mark.shows("V7")
@pytest.mark.parametrize("make", MAKERS)
def test_indices_become_classes_and_void(make: Any, tmp_path: Path) -> None:
    stream = open_stream(str(make(tmp_path / "road")))
    target = stream.schema.target
    assert target is not None
    assert (target.kind, target.shape, target.names) == ("mask", (HEIGHT, WIDTH), ("sky", "car", "tree"))
    expected = np.full_like(MASKS, VOID)
    for index, code in ((0, 0), (2, 1), (3, 2)):
        expected[index == MASKS] = code
    everything = stream.gather(torch.arange(ROWS))
    np.testing.assert_array_equal(everything["target"].numpy(), expected)
    np.testing.assert_array_equal((everything["input"] * 255).round().numpy(), IMAGES.transpose(0, 3, 1, 2))
    train = expected[stream.rows["train"]]
    assert target.counts == tuple(int((train == code).sum()) for code in range(3))
    assert any(f"{(expected == VOID).mean():.1%} of all pixels are void" in line for line in stream.said)


@pytest.mark.parametrize("make", MAKERS)
def test_images_are_resized_smoothly_and_masks_to_the_nearest(make: Any, tmp_path: Path) -> None:
    stream = open_stream({"name": str(make(tmp_path / "road")), "size": [4, 3]})
    batch = stream.gather(torch.arange(ROWS))
    small = np.stack([np.asarray(Image.fromarray(image).resize((4, 3), Image.Resampling.BILINEAR)) for image in IMAGES])
    np.testing.assert_array_equal((batch["input"] * 255).round().numpy(), small.transpose(0, 3, 1, 2))
    nearest = MASKS[:, 1::2, 1::2]
    names = {0: 0, 2: 1, 3: 2}
    for index, code in names.items():
        np.testing.assert_array_equal(batch["target"].numpy() == code, nearest == index)


def broken(number: int = 7) -> np.ndarray:
    masks = MASKS.copy()
    masks[3, 2, 5] = number
    return masks


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("masks", "says"),
    [
        (
            broken(),
            r"(03.bmp|row 3 of frames.parquet) holds index 7; expected 0 to 3 \(4 names in classes.txt\) or 255",
        ),
        ([*MASKS[:4], MASKS[4][:5], *MASKS[5:]], r"(04.bmp|row 4 .*): 8×5 pixels; expected 8×6, as its image"),
        ([*IMAGES[:1], *MASKS[1:]], r"(00.bmp|row 0 .*): a colour image \(RGB\); expected an index image"),
        (broken().astype(np.uint16) * 100, r"holds index \d{4,5}; expected 0 to 255"),
        (np.zeros_like(MASKS), None),
    ],
)
def test_what_is_wrong_with_a_mask_is_named(make: Any, masks: Any, says: str | None, tmp_path: Path) -> None:
    if says is None:  # a class that is nowhere is none of the reader's business
        assert open_stream(str(make(tmp_path / "road", masks))).schema.outputs == 3
        return
    with pytest.raises(UserError, match=says) as error:
        open_stream(str(make(tmp_path / "road", masks)))
    assert "\n" not in str(error.value)


def test_without_a_legend_the_indices_are_the_classes(tmp_path: Path) -> None:
    target = open_stream(str(folder(tmp_path / "a", classes=""))).schema.target
    assert target is not None
    assert target.names == ("0", "1", "2", "3")
    data = {"name": str(folder(tmp_path / "b", classes="")), "void": 0}
    target = open_stream(data).schema.target
    assert target is not None
    assert target.names == ("1", "2", "3")


def test_masks_of_black_and_white_are_two_classes(tmp_path: Path) -> None:
    black = np.where(MASKS > 1, 255, 0).astype(np.uint8)
    stream = open_stream(str(folder(tmp_path / "a", black, classes="")))
    np.testing.assert_array_equal(stream.gather(torch.arange(ROWS))["target"].numpy(), black // 255)
    assert any("these are two classes" in line for line in stream.said)


def test_a_palette_gives_indices_and_not_colours(tmp_path: Path) -> None:
    painted = [Image.fromarray(mask) for mask in MASKS]
    for mask in painted:
        mask.putpalette([9, 9, 9, 200, 0, 0, 200, 0, 0, 0, 0, 90] + 252 * [1, 2, 3])
    plain, coloured = (
        open_stream(str(folder(tmp_path / name, masks))) for name, masks in (("a", MASKS), ("b", painted))
    )
    assert torch.equal(*(stream.gather(torch.arange(ROWS))["target"] for stream in (plain, coloured)))


def test_folders_of_splits_are_kept_and_what_has_no_counterpart_is_left_out(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        folder(tmp_path / split)
    (tmp_path / "train" / "masks" / "05.png").unlink()
    (tmp_path / "test" / "images" / "00.bmp").unlink()
    (tmp_path / "classes.txt").write_text("sky\nvoid\ncar\ntree\n")
    stream = open_stream(str(tmp_path))
    assert [stream.size(split) for split in ("train", "valid", "test")] == [11, 12, 11]
    assert any("images without a mask are left out: train/images/05.bmp" in line for line in stream.said)
    assert any("masks without an image are left out: test/masks/00.png" in line for line in stream.said)


def test_masks_in_arrays_are_recognised_and_have_the_size_of_the_images() -> None:
    images = torch.rand(20, 1, 5, 5)
    stream = open_stream((images, torch.randint(0, 3, (20, 5, 5))))
    assert stream.schema.task == "segmentation"
    with pytest.raises(UserError, match=r"masks beside inputs of shape \(20, 1, 5, 5\)"):
        open_stream((images, torch.randint(0, 3, (20, 4, 5))))
    wrong = torch.zeros(20, 5, 5, dtype=torch.int64)
    wrong[2, 0, 0] = -1
    with pytest.raises(UserError, match="mask of row 2 holds index -1"):
        open_stream((images, wrong))


def test_shapes_have_void_edges_and_every_class() -> None:
    stream = open_stream("shapes")
    target, masks = stream.schema.target, stream.columns["target"]
    assert target is not None
    assert min(target.counts) > 0.03 * sum(target.counts)
    ground, inside = masks[:, 1:] == 0, (masks[:, :-1] > 0) & (masks[:, :-1] != VOID)
    assert not (ground & inside).any()  # between a shape and the ground there is an edge


@pytest.mark.shows("V7")
def test_camvid_has_its_classes_and_splits(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THETASTAR_DATA", str(shared_data))
    stream = open_stream({"name": "camvid", "size": [40, 30]})
    assert [stream.size(split) for split in ("train", "valid", "test")] == [367, 101, 233]
    target = stream.schema.target
    assert target is not None
    assert (target.classes, target.names[0], target.shape) == (11, "sky", (30, 40))
    assert "void" not in target.names
    table = pq.read_table(shared_data / "camvid" / "train.parquet").slice(5, 1).to_pylist()[0]
    raw = np.asarray(Image.open(io.BytesIO(table["mask"]["bytes"])).resize((40, 30), Image.Resampling.NEAREST))
    mask = stream.gather(torch.as_tensor(stream.rows["train"][5:6]))["target"][0].numpy()
    np.testing.assert_array_equal(mask, np.where(raw == 11, VOID, raw))


def test_a_model_of_whole_images_is_refused() -> None:
    stream = open_stream({"name": "shapes", "rows": 40, "size": 8})
    for model in ("cnn", "mlp", "softmax", "knn", "random_forest"):
        with pytest.raises(UserError, match=r"mask"):
            registry.build("models", model, stream.schema)
