"""The measurement of methods with few labels: whom it holds them against, its correction, and that it goes on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from benchmarks import few_labels as benchmark
from PIL import Image
from pyarrow import parquet

from thetastar.data.toys import bars


def columns(**shares: float) -> dict[str, np.ndarray]:
    """Right and wrong of 5 seeds on 400 images, at about these shares of right ones."""
    random = np.random.default_rng(0)
    hard = random.random((1, 400))
    return {
        name: (hard + 0.1 * random.standard_normal((5, 400)) < share).astype(float) for name, share in shares.items()
    }


def test_methods_are_held_against_the_twin_with_a_correction_for_their_number() -> None:
    found = benchmark.judged(columns(supervised=0.8, vat=0.9, pi_model=0.7, fixmatch=0.8))
    verdicts = {name: entry["verdict"] for name, entry in found.items()}
    assert verdicts == {"vat": "wins", "pi_model": "loses", "fixmatch": "open"}
    p = np.sort([entry["p"] for entry in found.values()])
    adjusted = np.sort([entry["p_holm"] for entry in found.values()])
    np.testing.assert_allclose(adjusted, np.maximum.accumulate([3 * p[0], 2 * p[1], p[2]]).clip(max=1))
    assert all(abs(np.mean(entry["per_seed"]) - entry["difference"]) < 1e-12 for entry in found.values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Bars as Parquet files of PNG images."""
    place = tmp_path / "data" / "bars"
    place.mkdir(parents=True)
    for name, rows, seed in (("train", 120, 0), ("test", 40, 1)):
        source = bars(rows=rows, seed=seed)
        _, made = source.prepare(np.arange(rows))
        images = []
        for x in made["input"].numpy():
            beside = io.BytesIO()
            Image.fromarray((255 * x[0]).astype(np.uint8)).save(beside, "PNG")
            images.append({"bytes": beside.getvalue(), "path": None})
        entry = pyarrow.table({"image": images, "label": made["target"].numpy()})
        parquet.write_table(entry, place / f"{name}.parquet")
    return place.parent


def test_a_rehearsal_writes_nothing_and_a_measurement_goes_on_where_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = benchmark.Job("bars", "bars", 80, 8, {"name": "mlp", "widths": [8]}, 4, [benchmark.CROP], batch_size=16)
    monkeypatch.setattr(benchmark, "JOBS", {"bars": job})
    monkeypatch.setattr(benchmark, "CHOICES", 40)
    monkeypatch.setenv("THETASTAR_DATA", "")
    out = tmp_path / "found.json"
    words = [str(folder), "--methods", "fixmatch", "pi_model", "--work", str(tmp_path / "work"), "--out", str(out)]
    benchmark.main([*words, "--seeds", "1", "--steps", "2"])
    assert "pi_model" in capsys.readouterr().out
    assert not out.exists()
    benchmark.main([*words, "--seeds", "1"])
    benchmark.main([*words, "--seeds", "2"])
    trained = [line.split(":")[1] for line in capsys.readouterr().out.splitlines() if "on valid" in line]
    names = ("supervised", "fixmatch", "pi_model")
    assert trained == [f" {name}, seed {seed}" for seed in range(2) for name in names]
    entry = json.loads(out.read_text())["results"]["bars"]
    assert [len(cell["accuracy"]) for cell in entry["cells"].values()] == [2] * 3
    assert set(entry["methods"]) == {"fixmatch", "pi_model"}
    runs = sorted((tmp_path / "work" / "bars").rglob("measures.json"))
    assert [len(json.loads(run.read_text())["facts"]["test_openings"]) for run in runs] == [1] * 6
