"""A comparison over the number of labels: equal terms, shared pre-training, and verdicts that count all pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thetastar.cli import main
from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.outer.labelled import Found, load
from thetastar.outer.labels import compare_labels
from thetastar.outer.statistics import holm
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

BYOL = {"name": "byol", "hidden": 16, "outputs": 8}
METHODS = ["supervised", {"name": "mean_teacher", "weight": 1.0}, BYOL]
NAMES = ["supervised", "mean_teacher", "byol → probe", "byol → fine-tune"]
FOLDERS = ["supervised", "mean_teacher", "byol-probe", "byol-fine-tune"]
NET = {"name": "mlp", "widths": [16], "norm": "batch"}
WORDS = ["engine.evaluations=0", "data.batch_size=32"]


def compared(place: Path, counts: list[int], methods: list[Any] = METHODS, **more: Any) -> Found:
    given: dict[str, Any] = {"model": NET, "seeds": 2, "budget": {"steps": 5}, "overrides": WORDS, **more}
    return compare_labels("bars", counts, methods, out=place, **given)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels") / "out"


@pytest.fixture(scope="module")
def found(place: Path) -> Found:
    return compared(place, [24, 12])


def run_of(place: Path, folder: str, count: int, seed: int) -> Run:
    return Run.open(place / "runs" / folder / f"labels-{count}" / f"seed-{seed}")


def test_all_learners_of_a_seed_see_the_same_labels_and_the_same_rest(place: Path, found: Found) -> None:
    kept: dict[tuple[int, int], set[int]] = {}
    for count in (12, 24):
        for seed in (0, 1):
            streams: list[Any] = [open_stream(run_of(place, name, count, seed).recipe.data) for name in FOLDERS]
            assert len({stream.labelled.tobytes() for stream in streams}) == 1
            assert len({stream.inner.rows["train"].tobytes() for stream in streams}) == 1
            assert len({(stream.batch_size, stream.labelled_batch) for stream in streams}) == 1
            assert len({str(stream.spec["augment"]) for stream in streams}) == 1
            kept[count, seed] = set(streams[0].labelled.tolist())
            assert len(kept[count, seed]) == count
    for seed in (0, 1):
        assert kept[12, seed] < kept[24, seed]
    assert kept[24, 0] != kept[24, 1]


def test_every_learner_takes_the_same_steps_from_the_same_seed(place: Path, found: Found) -> None:
    for name in FOLDERS:
        for seed in (0, 1):
            run = run_of(place, name, 12, seed)
            assert run.measures["facts"]["steps"] == found.steps == 5
            assert run.recipe.seed == seed
            assert run.recipe.model == run_of(place, "supervised", 12, 0).recipe.model
    assert found.before == {"byol → probe": 5, "byol → fine-tune": 5}
    assert [found.work(name) for name in NAMES] == ["5", "5", "5 + 5", "5 + 5"]


def test_a_method_of_features_becomes_two_learners_that_share_what_they_begin_with(place: Path, found: Found) -> None:
    assert [row.name for row in found.verdicts[0].rows] == NAMES
    for seed in (0, 1):
        before = Run.open(place / "pretrained" / "byol" / f"seed-{seed}")
        assert before.recipe.seed == seed
        assert before.measures["facts"]["steps"] == 5
        model = before.provenance["sha256"]["model.safetensors"]
        for count in (12, 24):
            began = [run_of(place, name, count, seed).provenance["weights"]["sha256"] for name in FOLDERS[2:]]
            assert began == [model, model]
    rows: Any = open_stream(before.recipe.data)
    few: Any = open_stream(run_of(place, "supervised", 12, 0).recipe.data)
    for split in ("train", "valid", "test"):
        assert np.array_equal(rows.inner.rows[split], few.inner.rows[split])


def test_rows_are_means_over_seeds_and_verdicts_count_the_pairs_at_all_numbers(place: Path, found: Found) -> None:
    assert found.counts == [12, 24]
    for count, verdict in zip(found.counts, found.verdicts, strict=True):
        for name, folder in zip(NAMES, FOLDERS, strict=True):
            row = next(row for row in verdict.rows if row.name == name)
            values = [run_of(place, folder, count, seed).measures["test"]["accuracy"] for seed in (0, 1)]
            assert row.quality == pytest.approx(np.mean(values))
            assert row.state == "finished"
    pairs = [pair for verdict in found.verdicts for pair in verdict.pairs]
    assert len(pairs) == 12
    np.testing.assert_allclose([pair.p_holm for pair in pairs], holm(np.array([pair.p for pair in pairs])))
    before = (place / "report.html").read_bytes()
    (place / "report.html").unlink()
    assert main(["report", str(place)]) == 0
    assert (place / "report.html").read_bytes() == before
    assert load(place) == found
    page = (place / "report.html").read_text(encoding="utf-8")
    for text in ("byol → fine-tune", "12 labels", "24 labels", "count all 12 pairs", "5 + 5", "the same pre-training"):
        assert text in page


def test_it_goes_on_from_what_is_found_and_refuses_another_question(place: Path, found: Found) -> None:
    stamps = {file: file.stat().st_mtime_ns for file in place.rglob("model.safetensors")}
    again = compared(place, [12, 18])
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    assert [row.quality for row in again.verdicts[0].rows] == [row.quality for row in found.verdicts[0].rows]
    assert len(again.verdicts[0].openings) == 8
    assert not again.verdicts[1].openings
    with pytest.raises(UserError, match="holds another 'supervised'"):
        compared(place, [12], budget={"steps": 6})
    with pytest.raises(UserError, match="holds another 'mean_teacher'"):
        compared(place, [12], methods=["mean_teacher"])


def test_a_learner_that_fails_is_a_row_with_the_reason_and_the_others_go_on(tmp_path: Path) -> None:
    methods = ["supervised", {**BYOL, "momentum": 0.9}]
    found = compared(tmp_path / "out", [12], methods, seeds=1, overrides=[*WORDS, "algorithm.lr=1e30"])
    states = {row.name: row.state for row in found.verdicts[0].rows}
    assert set(states) == {"supervised", "byol → probe", "byol → fine-tune"}
    assert "failed" in states.values()
    reasons = [row.reason for row in found.verdicts[0].rows if row.state == "failed"]
    assert all(reasons)
    assert any("failed:" in line for line in found.sentences())
    assert any("One seed" in line for line in found.sentences())


class Interrupt(Watch):
    """Ctrl-C once the first of two runs is through."""

    def step(self, step: int, steps: int) -> None:
        if 2 * step > steps:
            raise KeyboardInterrupt


def test_interrupted_it_judges_what_is_finished_and_goes_on_to_the_same_values(tmp_path: Path) -> None:
    cut = compared(tmp_path / "cut", [12], ["supervised"], watch=Interrupt())
    (row,) = cut.verdicts[0].rows
    assert (cut.partial, row.state, row.seeds) == (True, "unfinished", [0])
    assert any("interrupted" in line for line in cut.sentences())
    whole = compared(tmp_path / "cut", [12], ["supervised"])
    straight = compared(tmp_path / "straight", [12], ["supervised"])
    assert not whole.partial
    assert whole.verdicts[0].rows[0].per_seed == straight.verdicts[0].rows[0].per_seed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--labels", "x"], "--labels x; expected whole numbers"),
        (["--labels", "0"], "--labels 0; expected whole numbers"),
        (["--labels", "2"], "is left without a label; expected 4 (one a class) to"),
        (["--labels", "12,9999"], "got 9999; expected 4 (one a class) to"),
        (["--labels", "12", "--methods", "suprvised"], "did you mean 'supervised'"),
        (["--labels", "12", "--methods", "supervised,supervised"], "supervised twice"),
        (["--labels", "12", "--methods", "diffusion"], "diffusion with"),
        (["--labels", "12", "--models", "mlp,cnn"], "one model for all"),
        (["--labels", "12", "--trials", "3"], "--labels with --trials"),
        (["--labels", "12", "--seconds", "3"], "write --steps N"),
        (["--labels", "12", "data.labels=3"], "leave the word out"),
        (["--labels", "12", "method=byol"], "write --methods A,B"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "bars", *words, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]
    assert not (tmp_path / "out").exists()


def test_numbers_without_classes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "diabetes", "--labels", "20"]) == 2
    assert "whose targets are no classes" in capsys.readouterr().err


def test_the_command_prints_a_table_and_as_json_all_verdicts(
    place: Path, found: Found, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["compare", "bars", "--labels", "12,16", "--methods", "supervised", "--seeds", "1", "--steps", "3"]
    words += ["--models", "mlp", "--out", str(tmp_path / "out"), *WORDS]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "12 labels" in out
    assert "16 labels" in out
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said["labels"]) == {"12", "16"}
    assert main(["test", str(tmp_path / "out")]) == 2
    assert "is a comparison; expected one run; name one" in capsys.readouterr().err
    assert Recipe.from_yaml(said["labels"]["12"]["rows"][0]["recipe"]).budget == {"steps": 3}
