"""`theta tune` on the command line: what it says, what it writes, how it goes on, and one line for every mistake."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from PIL import Image

from thetastar import equation
from thetastar.outer.trying import records
from thetastar.recipe import Recipe

MOONS = ["tune", "moons", "--model", "mlp", "model.widths=[8]", "--epochs", "3", "engine.device=cpu"]
FEW = [*MOONS, "--trials", "4", "--confirm", "2"]


def test_spaces_come_before_the_search_and_the_answer_after_it(theta, tmp_path):
    code, out, err = theta(*FEW)
    assert code == 0
    assert "algorithm.lr            0.0001 … 0.01, log" in err
    assert "model.widths" not in err
    for words in ("the default", "best so far", "4 trials:", "next: theta fit --recipe"):
        assert words in out
    folder = tmp_path / "runs" / "tune-moons-1"
    assert len(records(folder / "trials.jsonl")) == 4
    assert Recipe.from_yaml(folder / "best.yaml").model["widths"] == [8]
    for scheme, dark in (("light", False), ("dark", True)):
        svg = (folder / f"tuning-{scheme}.svg").read_text()
        assert "Best so far of 4 trials" in svg
        assert "var(" not in svg
        picture = Image.open(io.BytesIO((folder / f"tuning-{scheme}.png").read_bytes())).convert("L")
        assert (picture.getpixel((3, 3)) < 60) == dark


def test_the_same_command_goes_on_and_another_takes_another_folder(theta, tmp_path, monkeypatch):
    theta(*FEW)
    trained = []
    fit = equation.fit
    monkeypatch.setattr(equation, "fit", lambda *given, **named: (trained.append(1), fit(*given, **named))[1])
    code, out, _ = theta(*FEW, "--json")
    assert (code, trained) == (0, [])
    found = json.loads(out)
    assert found["folder"] == "runs/tune-moons-1"
    assert [trial["number"] for trial in found["trials"]] == [0, 1, 2, 3]
    assert found["best"]["value"] == max(trial["value"] or 0.0 for trial in found["trials"])
    assert found["best_so_far"][-1] == found["best"]["value"]
    theta(*FEW, "--fix", "model.dropout=0.1")
    assert (tmp_path / "runs" / "tune-moons-2").is_dir()


def test_an_interruption_keeps_what_is_finished(theta, monkeypatch):
    whole = json.loads(theta(*FEW, "--out", "whole", "--json")[1])
    fit, count = equation.fit, []

    def stopping(*given, **named):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return fit(*given, **named)

    monkeypatch.setattr(equation, "fit", stopping)
    code, out, err = theta(*FEW)
    assert code == 130
    assert "2 trials: 2 finished." in out
    assert "interrupted after 2 trials; the same command goes on from here" in err
    again = json.loads(theta(*FEW, "--json")[1])

    def told(found):
        return [{key: trial[key] for key in trial if key != "seconds"} for trial in found["trials"]]

    assert told(again) == told(whole)
    assert again["fresh_seeds"] == whole["fresh_seeds"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", "0"], "--trials 0; expected at least 1"),
        (["--jobs", "0"], "--jobs 0"),
        (["--confirm", "-1"], "--confirm -1"),
        (["--sampler", "tpo"], "did you mean 'tpe'?"),
        (["--pruner", "medium"], "did you mean 'median'?"),
        (["--space", "lr=1..2"], "did you mean 'algorithm.lr'?"),
        (["--space", "algorithm.lr=-1..2"], "a number > 0"),
        (["--space", "algorithm.lr=2..1"], "is empty"),
        (["--fix", "algorithm.lr"], "expected KEY=VALUE"),
        (["--fix", "algorithm.lr=0.1", "--space", "algorithm.lr=0.1..1"], "one of the two"),
        (["data.valid=0"], "without a valid split"),
        (["measures=[]"], "a measure that judges"),
        (["--out", "full"], "full is not empty"),
        (["--steps", "3"], "one budget"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(words, said, theta, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    code, out, err = theta(*FEW, *words)
    assert (code, out) == (2, "")
    assert err.startswith("theta: ")
    assert err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "runs").exists()


def test_a_grid_says_its_size_and_tells_of_itself_as_any_search(theta, tmp_path):
    grid = ["--grid", "algorithm.lr=0.1,0.01,0.001", "--grid", "method.label_smoothing=0,0.1", "--confirm", "1"]
    code, out, err = theta(*MOONS, *grid, "--json")
    assert code == 0
    assert "3 × 2 = 6 combinations, the default among them: 6 trials" in err
    assert " one by one" in err
    found = json.loads(out)
    rates = [trial["values"].get("algorithm.lr", 0.001) for trial in found["trials"]]
    assert sorted(rates) == [0.001] * 2 + [0.01] * 2 + [0.1] * 2
    assert found["together"][0]["trials"] == list(range(6))
    assert found["best"]["value"] == max(trial["value"] for trial in found["trials"])
    assert len(found["best_so_far"]) == 6
    folder = tmp_path / "runs" / "tune-moons-1"
    before = (folder / "trials.jsonl").read_text()
    assert theta(*MOONS, *grid, "--json")[1] == out
    assert (folder / "trials.jsonl").read_text() == before
    code, out, _ = theta(*MOONS, *grid)
    assert "6 trials: 6 finished." in out
    assert (folder / "tuning-dark.png").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid", "algorithm.lr=0.1,0.2", "--trials", "5"], "--grid and --trials"),
        (["--grid", "algorithm.lr=0.1,0.2", "--sampler", "tpe"], "--grid and --sampler"),
        (["--grid", "algorithm.lr=0.1,0.2", "--pruner", "none"], "--grid and --pruner"),
        (["--grid", "algorithm.lr=0.1,0.2", "--space", "model.dropout=0..0.5"], "--space and --grid; expected one of"),
        (["--grid", "algorithm.lr"], "expected KEY=A,B,C"),
        (["--grid", "algorithm.lr=0.1,x"], "algorithm.lr: got 'x'"),
        (["--grid", "algorithm.lr=0.1,-2"], "a number > 0"),
        (["--grid", "algorithm.rate=0.1"], "adamw has no argument 'rate'"),
        (["--grid", "algorithm.lr=" + ",".join(f"0.{n:04}" for n in range(1, 1200))], "1,199 combinations"),
        (["--grid", "algorithm.lr=0.1,0.2", "algorithm.lr=0.3"], "and a value for it"),
    ],
)
def test_a_mistake_in_a_grid_is_one_line_and_leaves_nothing(words, said, theta, tmp_path):
    code, out, err = theta(*MOONS, *words)
    assert (code, out) == (2, "")
    assert err.startswith("theta: ")
    assert err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "runs").exists()


def test_nothing_to_search_is_said_in_one_line(theta):
    code, out, err = theta("tune", "wine", "--model", "gaussian_process")
    assert (code, out) == (2, "")
    said = "nothing to search in gaussian_process with absorb; expected a setting; name some: --space KEY=RANGE"
    assert err == f"theta: {said}\n"


def test_where_no_trial_finishes_the_first_reason_is_said(theta, monkeypatch):
    def failing(*given, **named):
        raise RuntimeError("no room")

    monkeypatch.setattr(equation, "fit", failing)
    code, out, err = theta(*FEW)
    assert (code, out) == (1, "")
    assert "no trial finished: RuntimeError: no room" in err


def test_the_command_line_stays_quick_to_import():
    """A fresh process that shows the help of tune has imported neither torch nor optuna."""
    program = "import sys; from thetastar.cli import main; main(['tune', '--help']); " + (
        "print({'torch', 'optuna', 'sklearn', 'scipy', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "--sampler" in done.stdout
    assert done.stderr == "set()\n"
