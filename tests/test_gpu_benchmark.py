"""The one command for a GPU: it rehearses every job without one, measures only with one, goes on and packs."""

from __future__ import annotations

import io
import json
import re
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from benchmarks import gpu
from PIL import Image
from pyarrow import parquet

from thetastar.star import load
from thetastar.terminal.words import recipe_files

ROOT = Path(__file__).parents[1]
SIZES = {"mnist": (28, 28), "cifar10-jpeg": (32, 32, 3), "tiny-imagenet": (64, 64, 3)}


def encoded(pixels: np.ndarray) -> dict[str, object]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def shard(file: Path, shape: tuple[int, ...], rows: int) -> None:
    """Random images of ten classes, as the hub stores them."""
    random = np.random.default_rng(0)
    images = [encoded(random.integers(0, 256, shape, dtype=np.uint8)) for _ in range(rows)]
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"image": images, "label": [row % 10 for row in range(rows)]}), file)


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    for name, shape in SIZES.items():
        trains = [f"train-0000{i}-of-00003" for i in range(3)] if name == "tiny-imagenet" else ["train"]
        for part in trains:
            shard(place / name / f"{part}.parquet", shape, 60)
        shard(place / name / ("valid.parquet" if name == "tiny-imagenet" else "test.parquet"), shape, 20)
    (place / "camvid").mkdir()
    (place / "camvid" / "classes.txt").write_text("\n".join(f"class{i}" for i in range(11)) + "\nvoid\n")
    random = np.random.default_rng(0)
    for split in ("train", "valid", "test"):
        images = [encoded(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)) for _ in range(8)]
        masks = [encoded(random.integers(0, 12, (24, 32), dtype=np.uint8)) for _ in range(8)]
        parquet.write_table(pa.table({"image": images, "mask": masks}), place / "camvid" / f"{split}.parquet")
    return place


@pytest.fixture
def rehearse(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words of a rehearsal on the small data; what is kept lies in the test's own folder."""
    monkeypatch.setenv("THETASTAR_DATA", str(small_data))
    monkeypatch.chdir(tmp_path)
    return ["--steps", "1", "--device", "cpu", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]


@pytest.mark.parametrize("name", [job.name for job in gpu.jobs()])
def test_every_job_runs_a_few_steps_without_a_gpu_and_measures_nothing(
    name: str, rehearse: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.main([name, *rehearse]) == 0
    assert capsys.readouterr().out.endswith("rehearsed\n")
    assert not (tmp_path / "out").exists()
    if (verdict := tmp_path / "work" / name / "verdict.json").is_file():
        assert all(row["state"] == "finished" for row in json.loads(verdict.read_text())["rows"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU it would measure")
def test_without_a_gpu_it_says_what_is_unmeasured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("no GPU here; unmeasured: tiny_imagenet, ")
    assert all(job.name in said for job in gpu.jobs())


def test_the_list_tells_measured_from_unmeasured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = {"started": "2026-01-02T03:04:05Z", "gpu": "H200"}
    (tmp_path / "gpu-depth.json").write_text(json.dumps({"provenance": here, "reached": False}))
    assert gpu.main(["--list", "--out", str(tmp_path)]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["depth"].startswith("measured 2026-01-02 on H200, bar missed: ")
    assert lines["cifar10"].startswith("unmeasured: ")


def test_a_full_run_writes_what_its_verdict_says_and_its_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GPU in name only, and a job small enough for the processor."""
    monkeypatch.setattr(gpu, "present", lambda: True)
    words = "digits --models softmax --seeds 2 --steps 150 --no-resplit"
    job = gpu.Job(name="small", about="digits", compare=words, bar={"accuracy": 0.5})
    monkeypatch.setattr(gpu, "jobs", lambda: [job])
    monkeypatch.setattr(gpu, "provenance", lambda: {"gpu": "none", "started": "now"})
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert gpu.main(["--device", "cpu", *places]) == 0
    found = json.loads((tmp_path / "out" / "gpu-small.json").read_text())
    verdict = json.loads((tmp_path / "work" / "small" / "verdict.json").read_text())
    (row,) = verdict["rows"]
    assert found["learners"]["softmax"]["quality"] == row["quality"] > 0.5
    assert found["learners"]["softmax"]["per_seed"] == row["per_seed"]
    assert (found["seeds"], found["reached"], found["bar"]) == (2, True, {"accuracy": 0.5})
    assert found["learners"]["softmax"]["train_seconds"] == row["train_seconds"] > 0
    assert gpu.main(["--device", "cpu", *places]) == 0, "nothing is left to measure"
    assert found == json.loads((tmp_path / "out" / "gpu-small.json").read_text())


def test_a_recipe_with_several_seeds_is_tested_once_when_all_are_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "present", lambda: True)
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("data: digits\nmodel: softmax\nbudget: {steps: 60}\n")
    job = gpu.Job(name="small", about="digits", fit=str(recipe), seeds=2, bar={"accuracy": 0.999})
    monkeypatch.setattr(gpu, "jobs", lambda: [job])
    assert gpu.main(["--device", "cpu", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "gpu-small.json").read_text())
    stars = [load(tmp_path / "work" / "small" / f"seed-{seed}") for seed in range(2)]
    assert found["test"]["accuracy"] == [star.measures["test"]["accuracy"] for star in stars]
    assert [len(star.facts["test_openings"]) for star in stars] == [1, 1]
    assert [star.recipe.seed for star in stars] == [0, 1]
    assert (found["reached"], found["seeds"], len(found["train_seconds"])) == (False, 2, 2)


def test_when_the_minutes_are_over_it_stops_and_opens_no_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = gpu.Job(name="long", about="digits", compare="digits --models mlp --seeds 2 --epochs 1000")
    monkeypatch.setattr(gpu, "jobs", lambda: [job])
    monkeypatch.setattr(gpu, "present", lambda: True)
    words = ["--device", "cpu", "--minutes", "0.05", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert gpu.main(words) == 3
    assert "minutes are over; the same command goes on" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "work").rglob("verdict.json"))
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_parts_hold_every_file_of_the_unmeasured_jobs_once_and_no_part_is_too_large(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THETASTAR_DATA", str(small_data))
    assert gpu.main(["tiny_imagenet", "mnist", "--pack", str(tmp_path / "p"), "--limit", "1.2"]) == 0
    parts = sorted((tmp_path / "p").iterdir())
    assert len(parts) > 1
    assert capsys.readouterr().out.startswith(f"{len(parts)} parts: ")
    held = [file for part in parts for file in part.rglob("*.parquet")]
    wanted = [file for name in ("tiny-imagenet", "mnist") for file in (small_data / name).iterdir()]
    assert sorted(f"{f.parent.name}/{f.name}" for f in held) == sorted(f"{f.parent.name}/{f.name}" for f in wanted)
    assert all(sum(file.stat().st_size for file in part.rglob("*.*")) <= 1.2 * 2**20 for part in parts)


def test_the_page_of_measurements_names_every_job_that_has_no_result() -> None:
    page = (ROOT / "docs" / "design" / "measured.md").read_text()
    unmeasured = page.partition("## On one GPU")[2]
    for job in gpu.jobs():
        assert f"`{job.name}`" in unmeasured
        line = next(line for line in unmeasured.splitlines() if f"`{job.name}`" in line)
        assert ("unmeasured" in line) == (not job.result(gpu.RESULTS).is_file()), job.name


def test_recipes_of_the_jobs_are_shipped() -> None:
    for job in gpu.jobs():
        for name in [*re.findall(r"--recipes (\S+)", job.compare), *([job.fit] if job.fit else [])]:
            assert recipe_files(Path(name))


def test_an_unknown_job_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["cifar"])
    assert "unknown cifar; expected some of tiny_imagenet, cifar10" in capsys.readouterr().err
