"""A stream from disk: every row once, in an order that only the seed and the epoch decide, in flat memory."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from thetastar import defaults, equation
from thetastar.data.prepare.ahead import ahead
from thetastar.data.prepare.contents import Targets
from thetastar.data.prepare.shards import Shards
from thetastar.data.streamed import streamed
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.hardware import free_memory
from thetastar.protocols import Batch, Clock
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

ROWS = 90


def png(value: int, size: int = 6) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Grey level = row number; three files, the first one the test split; row groups of 8."""
    for name, first, last in (("test", 0, 20), ("train-0", 20, 60), ("train-1", 60, ROWS)):
        images = pa.array(
            [{"bytes": png(i), "path": str(i)} for i in range(first, last)],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        )
        labels = pa.array([i % 3 for i in range(first, last)])
        parquet.write_table(pa.table({"image": images, "label": labels}), tmp_path / f"{name}.parquet", 8)
    return tmp_path


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Two entries that tell the row, and a class that a line tells apart; row groups of 64."""
    random = np.random.default_rng(0)
    x = random.normal(size=(1000, 2)).astype(np.float32)
    label = np.where(x.sum(1) > 0, "high", "low")
    entry = pa.table({"a": x[:, 0], "b": x[:, 1], "side": label})
    place = tmp_path / "numbers"
    place.mkdir()
    parquet.write_table(entry, place / "points.parquet", 64)
    return place / "points.parquet"


def taken(stream: streamed, split: str = "train", epoch: int = 0, skip: int = 0, seed: int = 0) -> list[Batch]:
    return list(stream.batches(split, Clock(seed, epoch=epoch), skip))  # type: ignore[arg-type]


def rows(batches: list[Batch]) -> list[int]:
    return torch.cat([batch["index"] for batch in batches]).tolist()


def test_every_row_once_and_with_its_own_image_and_label(pictures: Path) -> None:
    stream = streamed(path=str(pictures), batch_size=7, buffer=20, workers=0)
    splits = {split: taken(stream, split) for split in ("train", "valid", "test")}
    assert sorted(row for batches in splits.values() for row in rows(batches)) == list(range(ROWS))
    assert sorted(rows(splits["test"])) == list(range(20))
    for batches in splits.values():
        for batch in batches:
            assert torch.equal(batch["target"], batch["index"] % 3)
            assert torch.equal((batch["input"][:, 0, 2, 2] * 255).round().long(), batch["index"])
    for split, batches in splits.items():
        assert len(batches) == stream.length(split)  # type: ignore[arg-type]
        assert len(rows(batches)) == stream.size(split)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_order_is_of_seed_and_epoch_alone(pictures: Path, workers: int) -> None:
    alone = streamed(path=str(pictures), batch_size=7, buffer=20, workers=0)
    stream = streamed(path=str(pictures), batch_size=7, buffer=20, workers=workers)
    whole = taken(alone, epoch=1)
    for skip in (0, 1, 4, len(whole) - 1):
        rest = taken(stream, epoch=1, skip=skip)
        assert len(rest) == len(whole) - skip
        for one, other in zip(whole[skip:], rest, strict=True):
            assert all(torch.equal(one[key], other[key]) for key in ("input", "target", "index"))
    assert rows(whole) != rows(taken(stream, epoch=2))
    assert rows(whole) != rows(taken(stream, epoch=1, seed=1))


def test_a_window_mixes_its_shards(numbers: Path) -> None:
    """With a window of all rows the order is a shuffle: neighbours in the file do not stay neighbours."""
    order = np.asarray(rows(taken(streamed(path=str(numbers), target="side", buffer=10_000))))
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.15
    narrow = np.asarray(rows(taken(streamed(path=str(numbers), target="side", buffer=64))))
    near = [float(np.mean(abs(np.diff(each)) < 64)) for each in (order, narrow)]
    assert near[0] < 0.2 < 0.4 < near[1]  # the price of a narrow window


def test_shares_hold_in_every_part_of_the_file(numbers: Path) -> None:
    stream = streamed(path=str(numbers), target="side", valid=0.1, test=0.2)
    assert [stream.size(s) for s in ("train", "valid", "test")] == [700, 100, 200]
    held = np.bincount(np.asarray(rows(taken(stream, "test"))) // 250, minlength=4)
    assert held.min() > 40


class Interrupted(Watch):
    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, step: int, steps: int) -> None:
        if step == self.at:
            raise KeyboardInterrupt


def resumed(recipe: Recipe, again: Recipe, cut: int, place: Path) -> tuple[equation.Outcome, Run]:
    """A run that is interrupted after `cut` steps and goes on by the recipe `again`."""
    run = Run.create(place)
    with pytest.raises(KeyboardInterrupt):
        equation.fit(recipe, run=run, watch=Interrupted(cut))
    return equation.fit(again, run=run), run


def assert_same(one: equation.Outcome, other: equation.Outcome) -> None:
    for name, value in one.program.state_dict().items():
        assert torch.equal(value, other.program.state_dict()[name]), name
    assert one.values == other.values


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(1, 21),
    buffer=st.sampled_from([1, 150, 400, 10_000]),
    accumulate=st.sampled_from([1, 3]),
    drop_last=st.booleans(),
)
def test_a_run_goes_on_from_any_step_to_the_same_bits(
    numbers: Path, tmp_path_factory: pytest.TempPathFactory, cut: int, buffer: int, accumulate: int, drop_last: bool
) -> None:
    """11 batches a pass, or 4 windows of at most 3: in the middle of a pass, at its end, and of a window of rows."""
    data = {"name": "streamed", "path": str(numbers), "target": "side", "batch_size": 64, "buffer": buffer}
    data["drop_last"] = drop_last
    engine = {"checkpoint": 1e-9, "accumulate": accumulate}
    recipe = Recipe(data=data, model={"name": "mlp", "widths": [8]}, budget={"epochs": 2}, engine=engine)
    whole = equation.fit(recipe)
    last = max(whole.facts["steps"] - 1, 1)
    parts, run = resumed(recipe, recipe, min(cut, last), tmp_path_factory.mktemp("run") / "parts")
    assert_same(whole, parts)
    steps = [row["step"] for row in run.trace()]
    assert steps == sorted(set(steps)), "the trace says a step twice"


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0)])
def test_workers_may_change_when_a_run_goes_on(pictures: Path, tmp_path: Path, before: int, after: int) -> None:
    def recipe(workers: int) -> Recipe:
        data = {"name": "streamed", "path": str(pictures), "batch_size": 7, "buffer": 20, "workers": workers}
        data["augment"] = ["flip"]
        engine = {"checkpoint": 1e-9}
        return Recipe(data=data, model={"name": "mlp", "widths": [8]}, budget={"epochs": 2}, engine=engine)

    whole = equation.fit(recipe(0))
    parts, _ = resumed(recipe(before), recipe(after), 5, tmp_path / "run")
    assert_same(whole, parts)


def test_leaving_a_pass_leaves_no_thread_behind(pictures: Path) -> None:
    before = threading.active_count()
    stream = streamed(path=str(pictures), batch_size=7, workers=2)
    for _ in range(3):
        with closing(stream.batches("train", Clock(0))) as batches:  # type: ignore[type-var]
            next(batches)
    del stream, batches
    assert threading.active_count() == before


def test_what_goes_wrong_ahead_is_raised_where_it_is_taken() -> None:
    def items():
        yield 1
        raise UserError("got", "expected", "do")

    found = ahead(items(), 2)
    assert next(found) == 1
    with pytest.raises(UserError, match="got"):
        next(found)


CAPPED = """
import resource, sys
import torch
from thetastar.data.streamed import streamed
from thetastar.protocols import Clock
stream = streamed(path=sys.argv[1], target="y", batch_size=256, buffer=4096)
next(iter(stream.batches("train", Clock(0))))
used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + 96 * 2**20,) * 2)
total = sum(len(batch["index"]) for batch in stream.batches("train", Clock(0)))
assert total == stream.size("train")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")
def test_memory_is_flat_as_data_grow(tmp_path: Path) -> None:
    """1, 4 and 16 times the rows within the same room; all of the largest is more than that room holds."""
    random, peaks = np.random.default_rng(0), []
    for times in (1, 4, 16):
        file = tmp_path / f"{times}.parquet"
        columns = {f"x{i}": random.random(4096).astype(np.float32) for i in range(64)}
        entry = pa.table({**columns, "y": random.integers(0, 2, 4096)})
        with parquet.ParquetWriter(file, entry.schema) as writer:
            for _ in range(8 * times):
                writer.write_table(entry, 4096)
        found = subprocess.run([sys.executable, "-c", CAPPED, str(file)], capture_output=True, text=True)
        assert found.returncode == 0, found.stderr[-2000:]
        peaks.append(int(found.stdout))
        whole = 8 * times * 4096 * 64 * 4
    assert whole > 96 * 2**20  # the last one could not be held
    assert peaks[2] < 1.15 * peaks[0]


def test_chosen_where_memory_is_short(pictures: Path, numbers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """90 images of 6×6×3 bytes; 1,000 rows of two numbers as a table and as floats."""
    assert streamed.whole(str(pictures), "label") == 90 * 108
    assert streamed.whole(str(numbers), "side") == 1000 * 2 * 12
    table = {"name": str(numbers), "target": "side"}
    for data, room in ((str(pictures), 2 * 90 * 108), (table, 2 * 24_000)):
        monkeypatch.setattr(defaults, "free_memory", lambda room=room: room)
        assert open_stream(data).spec["name"] == "resident"  # type: ignore[attr-defined]
        monkeypatch.setattr(defaults, "free_memory", lambda room=room: room - 1)
        stream = open_stream(data)
        assert stream.spec["name"] == "streamed"  # type: ignore[attr-defined]
        assert "read from disk in pieces" in stream.said[0]
        again = open_stream(stream.spec)  # type: ignore[attr-defined]
        assert "read from disk in pieces" not in again.said[0]
    held = open_stream({"name": "resident", "source": str(pictures)})
    assert held.spec["name"] == "resident"  # type: ignore[attr-defined]
    monkeypatch.undo()
    assert 0 < free_memory() < 1 << 45


def test_targets_are_described_by_their_training_rows_in_one_pass(
    numbers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts of classes and moments of numbers, held against all rows at once; each shard is read once."""
    seen: list[int] = []
    read = Shards.read
    monkeypatch.setattr(
        Shards, "read", lambda self, shard, columns: (seen.append(shard.first), read(self, shard, columns))[1]
    )
    shards, entry = Shards(numbers, 0.1, 0.2, 3), parquet.read_table(numbers)
    rows = np.concatenate([shard.first + shards.of(shard, "train") for shard in shards.all])
    field = Targets(shards, "side", (), "numbers").field
    labels, counts = np.unique(np.asarray(entry.column("side").to_pylist())[rows], return_counts=True)
    assert (field.names, field.counts) == (tuple(labels), tuple(counts))
    number, of = Targets(shards, "a", (), "numbers").field, entry.column("a").to_numpy()[rows].astype(np.float64)
    assert (*number.mean, *number.std) == pytest.approx((of.mean(), of.std()), rel=1e-12)
    assert sorted(seen) == sorted([shard.first for shard in shards.all] * 2)


def test_classes_that_only_held_out_rows_have_are_classes_of_no_training_row(tmp_path: Path) -> None:
    for name, labels in (("train", [0, 2, 2, 0]), ("test", [1, 2])):
        parquet.write_table(pa.table({"x": np.zeros(len(labels)), "y": labels}), tmp_path / f"{name}.parquet", 2)
    field = Targets(Shards(tmp_path, 0.0, 0.0, 0), "y", ("a", "b", "c"), "few").field
    assert (field.names, field.counts) == (("a", "b", "c"), (2, 0, 2))


@pytest.mark.skipif(sys.platform != "linux", reason="counts of what was read as Linux has them")
def test_the_size_of_images_is_found_without_reading_the_row_group(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    blobs = [png(0) + noise.bytes(4000) for _ in range(4000)]
    images = pa.array([{"bytes": blob} for blob in blobs], pa.struct([("bytes", pa.binary())]))
    file = tmp_path / "a.parquet"
    entry = pa.table({"image": images, "label": [i % 2 for i in range(4000)]})
    parquet.write_table(entry, file, use_dictionary=False)

    def taken_from_disk() -> int:
        return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])

    before = taken_from_disk()
    assert streamed.whole(str(file), "label") == 4000 * 6 * 6 * 3
    assert taken_from_disk() - before < file.stat().st_size / 3  # a page, which holds a thousand


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"target": "nothing"}, "no column 'nothing'"),
        ({"target": "side", "valid": 0.6, "test": 0.5}, "leave rows"),
        ({"target": "a", "valid": 0.0}, "hold.* no numbers"),
        ({"path": "nowhere.parquet"}, "does not exist"),
    ],
)
def test_refusals(numbers: Path, arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        streamed(**{"path": str(numbers), "target": "side", **arguments})  # type: ignore[arg-type]


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    blobs = [png(i % 256) for i in range(300)]
    blobs[290] = b"nothing"
    images = pa.array([{"bytes": blob} for blob in blobs], pa.struct([("bytes", pa.binary())]))
    parquet.write_table(pa.table({"image": images, "label": [i % 2 for i in range(300)]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="row 290"):
        taken(streamed(path=str(tmp_path / "a.parquet"), workers=0, valid=0.0, test=0.0))
